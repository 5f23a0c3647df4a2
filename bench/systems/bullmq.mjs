// BullMQ's side of the benchmark: `node bullmq.mjs work SLOTS` is a worker; `node bullmq.mjs serve` does what
// bench/systems/bullmq.py asks for, one line of JSON for each line, so that nothing is timed across processes.
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const { BENCH_NODE, BENCH_STAMP, BENCH_BULLMQ_POSTGRES, BENCH_REDIS_SOCKET } = process.env;
const { Queue, Worker, createPostgresBackend } = createRequire(`${BENCH_NODE}/`)('bullmq');
const postgres = BENCH_BULLMQ_POSTGRES && { ...JSON.parse(BENCH_BULLMQ_POSTGRES), max: 20, migrate: true };
const connection = postgres || { path: BENCH_REDIS_SOCKET, maxRetriesPerRequest: null };
const backend = postgres ? [createPostgresBackend] : [];

const QUEUE = 'bench';
const OTHER_QUEUE = 'backlog';
const CALL = 1000;
const POLL_MILLISECONDS = 1;
const DEADLINE_SECONDS = 30;

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const now = () => process.hrtime.bigint(); // the machine's monotonic clock, as Python's
const since = (began) => Number(now() - began) / 1e9;

function stamp() {
  const content = Buffer.alloc(8);
  content.writeBigUInt64BE(now());
  const file = openSync(BENCH_STAMP, 'r+');
  writeSync(file, content, 0, 8, 0);
  closeSync(file);
}

function stamped() {
  const content = Buffer.alloc(8);
  const file = openSync(BENCH_STAMP, 'r');
  readSync(file, content, 0, 8, 0);
  closeSync(file);
  return content.readBigUInt64BE();
}

const bodies = {
  nothing: async () => null,
  stamp: async () => stamp(),
  sleep: async (job) => pause(job.data.seconds * 1000),
};

function work(slots) {
  const options = { connection, concurrency: slots };
  new Worker(QUEUE, (job) => bodies[job.name](job), options, ...backend).on('error', console.error);
}

async function addMany(queue, count) {
  for (let begun = 0; begun < count; begun += CALL) {
    await queue.addBulk(Array.from({ length: Math.min(CALL, count - begun) }, () => ({ name: 'nothing', data: {} })));
  }
}

function answers() {
  const queue = new Queue(QUEUE, { connection }, ...backend);
  return {
    ready: async () => void (await queue.waitUntilReady()),
    ended: async () => queue.getCompletedCount(),
    many: async ({ count }) => void (await addMany(queue, count)),
    fill: async ({ count }) => void (await addMany(new Queue(OTHER_QUEUE, { connection }, ...backend), count)),
    each: async ({ count, body, seconds }) => {
      const took = [];
      for (let index = 0; index < count; index++) {
        const began = now();
        await queue.add(body, { seconds });
        took.push(since(began));
      }
      return took;
    },
    roundTrip: async () => {
      const began = now();
      const job = await queue.add('stamp', {});
      const call = since(began);
      while (!(await job.isCompleted())) {
        if (since(began) > DEADLINE_SECONDS) throw new Error(`no end to be seen in ${DEADLINE_SECONDS} s`);
        await pause(POLL_MILLISECONDS);
      }
      const result = since(began);
      return [call, Number(stamped() - began) / 1e9, result];
    },
  };
}

async function serve() {
  const known = answers();
  for await (const line of createInterface({ input: process.stdin })) {
    const { ask, ...how } = JSON.parse(line);
    process.stdout.write(`${JSON.stringify((await known[ask](how)) ?? null)}\n`);
  }
  process.exit(0);
}

process.on('SIGTERM', () => process.exit(0));
if (process.argv[2] === 'work') work(Number(process.argv[3]));
else await serve();
