from collections.abc import Callable

import pytest
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from generation.prompts import Prompt
from generation.scripted.faults import parse_faults, striking

pytestmark = pytest.mark.fast

Ask = Callable[..., Prompt]


def test_a_keyword_strikes_as_a_word_of_the_action(ask: Ask) -> None:
    faults = parse_faults(" refuse@forbidden, slow@warten ")
    assert striking(faults, ask("the Forbidden door"), 1) == "refuse"
    assert striking(faults, ask("we warten."), 1) == "slow"
    assert striking(faults, ask("unforbidden"), 1) == ""


def test_the_first_fault_that_fits_is_taken(ask: Ask) -> None:
    assert striking(parse_faults("slow:1,refuse:1"), ask(), 1) == "slow"


def test_a_rate_strikes_its_share_of_prompts_and_always_the_same_ones(ask: Ask) -> None:
    faults = parse_faults("fail:0.25")
    struck = [striking(faults, ask(f"search shelf {n}"), 1) for n in range(400)]
    assert 60 < struck.count("fail") < 140
    assert struck == [striking(faults, ask(f"search shelf {n}"), 1) for n in range(400)]
    assert struck != [striking(faults, ask(f"search shelf {n}"), 2) for n in range(400)]


def test_no_faults_is_no_faults(ask: Ask) -> None:
    assert parse_faults("") == parse_faults(" , ") == []


@pytest.mark.parametrize(
    "text",
    ["explode:1", "fail", "fail:", "fail:0", "fail:1.5", "fail:-1", "fail:x", "fail@", "fail@two words", "fail:1\n@x"],
)
def test_what_cannot_be_read_is_named_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="allowed is"):
        parse_faults(f"slow:1,{text}")


def test_a_wrong_setting_stops_the_start_with_its_name(config: Callable[..., None]) -> None:
    config(scripted_faults="explode:1")
    with pytest.raises(SystemCheckError, match=r"SCRIPTED_FAULTS: 'explode:1': allowed is fault:rate"):
        call_command("check")
