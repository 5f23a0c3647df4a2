"""For tests of one's own job types and pages, against real processes. See docs/testing.md."""
