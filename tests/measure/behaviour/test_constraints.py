"""The constraints on a reply: every kind, the two modes, hostile replies, and the prompts that use them."""

import json
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boresight.errors import DataError
from boresight.measure.behaviour import constraints
from boresight.measure.behaviour.constraints import KINDS, check, loose, strict

ROOT = Path(__file__).parents[3]


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


PROMPTS = rows(ROOT / "src/boresight/data/sets/instructions.jsonl")
SATISFYING = {row["id"]: row["reply"] for row in rows(ROOT / "tests/fixtures/instructions/satisfying.jsonl")}
USED = [constraint for prompt in PROMPTS for constraint in prompt["constraints"]]

# kind: groups of (parameters, replies that keep it, replies that do not)
CASES: dict[str, list[tuple[dict, list[str], list[str]]]] = {
    "words_at_least": [
        (
            {"count": 3},
            ["one two three", "Don't over-think it, please."],
            ["one two", "sun-dried tomatoes", "- *"],
        ),
    ],
    "words_at_most": [
        ({"count": 2}, ["one two", "sun-dried don't", "**one** - two!"], ["one two three", "a, b, c"]),
    ],
    "words_between": [
        ({"low": 2, "high": 3}, ["one two", "one\n\ntwo\nthree"], ["one", "one two three four"]),
        ({"low": 2, "high": 2}, ["it's 5"], ["it is 5", "its5"]),
    ],
    "characters_at_most": [
        (
            {"count": 5},
            ["12345", "  12345\n\n", "12\r\n45", "cafe\u0301s"],
            ["123456", "12 456", "1\n2\n3\n4"],
        ),
    ],
    "sentences_exactly": [
        (
            {"count": 2},
            [
                "One. Two.",
                "One! Two",
                "Dr. Who met Mr. Bean. They spoke, e.g. of tea.",
                "It costs 3.50 euros. Fine?!",
                "**One.** Two.",
                "“One.” Two.",
                "Title\nOne sentence.",
                "- first\n- second",
                "今日は晴れです。明日は雨です。",
                "One... Two.",
            ],
            ["One.", "One. Two. Three.", "One and\ntwo and\nthree", "One, two", "今日は晴れです。"],
        ),
        ({"count": 1}, ["1. Boil the water.", "Nice! 🎉"], ["1. Boil it. Drink it."]),
    ],
    "paragraphs_exactly": [
        (
            {"count": 2},
            ["One.\n\nTwo.", "One.\n \t\n\n\nTwo\nlines.", "One.\r\n\r\nTwo.", "One.\n\n***\n\nTwo."],
            ["One.", "One.\nTwo.", "One.\n\nTwo.\n\nThree."],
        ),
    ],
    "lines_exactly": [
        (
            {"count": 2},
            ["one\ntwo", "\none\n\n\ntwo\n", "one\rtwo", "one\r\ntwo"],
            ["one", "one\ntwo\nthree"],
        ),
    ],
    "bullets_exactly": [
        (
            {"count": 2},
            ["- a\n- b", "* a\n• b", "Here:\n\n- a\n  - b\n\nDone.", "- a\n- b\n- - -"],
            ["- a", "- a\n- b\n- c", "-a\n-b", "**a**\n**b**", "1. a\n2. b"],
        ),
    ],
    "numbered_exactly": [
        (
            {"count": 2},
            ["1. a\n2. b", "1) a\n2) b", "Steps:\n 1. a\n - note\n 2. b\nDone."],
            ["1. a", "1. a\n1. b", "2. a\n1. b", "1. a\n2. b\n3. c", "1.5 a\n2.5 b", "- a\n- b"],
        ),
    ],
    "headings_exactly": [
        (
            {"count": 2},
            ["# A\ntext\n## B\ntext", "# A\n# B"],
            ["# A", "# A\n# B\n# C", "#A\n#B", "####### A\n####### B", "**A**\n**B**"],
        ),
    ],
    "bold_at_least": [
        (
            {"count": 2},
            ["**a** and **b**", "**a b**\n**c**, **d**", "***a*** **b** **c**"],
            ["**a**", "*a* *b*", "** a ** ** b **", "**a\nb** **c", "**!** **?**"],
        ),
    ],
    "all_lowercase": [
        ({}, ["all small, 3 of them!", "straße é"], ["All small", "x Ǆ", "123 456", "ǅ a"]),
    ],
    "all_capitals": [
        ({}, ["ALL BIG 3!", "ÉTÉ"], ["ALL BIg", "123", "東京", "STRAßE"]),
    ],
    "title_case": [
        (
            {},
            ["The Lord Of 3 Rings", "Well-known NASA Facts", "Élan Vital", "A 2nd Day"],
            ["The Lord of 3 Rings", "THE LORD", "the Lord", "123", "Élan vital"],
        ),
    ],
    "includes_words": [
        (
            {"words": ["art", "well done"]},
            ["ART: well  done!", "An art-lover said: 'Well\ndone'", "**art** (well done)"],
            ["party well done", "art", "art well-done", "arts well done"],
        ),
        ({"words": ["don't"]}, ["Don’t!", "don't"], ["dont", "don t"]),
        ({"words": ["café"]}, ["the CAFE\u0301", "café"], ["cafe", "cafés"]),
    ],
    "without_words": [
        (
            {"words": ["sun", "big red"]},
            ["sunny red", "suns", "big and red"],
            ["The Sun!", "BIG\nred", "sun-dried"],
        ),
    ],
    "word_at_least": [
        (
            {"word": "tea", "count": 2},
            ["Tea, tea", "tea-tea", "TEA tea tea"],
            ["tea", "teas tea", "teatea tea", "team"],
        ),
    ],
    "words_in_order": [
        (
            {"words": ["egg", "hen"]},
            ["an egg, a hen", "Egg then hen then egg", "egg egg\nHEN"],
            ["hen egg", "egg", "hen egg hen", "eggs hen"],
        ),
    ],
    "without_letter": [
        ({"letter": "e"}, ["a dog runs", "A Big Cat"], ["the dog", "HEN", "café", "cafe\u0301"]),
    ],
    "without_commas": [
        ({}, ["no such mark here; none", "1.5"], ["a, b", "1,000", "東京、大阪", "a，b", "a،b"]),
    ],
    "contains_digit": [
        ({}, ["In 1889.", "1. Take 2 eggs", "7"], ["In May.", "1. Take\n2. Stir", "seven", "٣ a"]),
    ],
    "starts_with": [
        (
            {"phrase": "Dear Sam"},
            ["Dear Sam, hi", "  dear  sam", "DEAR SAM!"],
            ["Dear Samuel", "Hi Dear Sam", '"Dear Sam, hi"', "Dear"],
        ),
        ({"phrase": "Well,"}, ["Well,yes", "Well, yes"], ["Well yes", "Swell, yes"]),
    ],
    "ends_with": [
        (
            {"phrase": "the end"},
            ["This is the end", "the  END \n", "The end"],
            ["This is the end.", "bathe end", "the end of it", '"the end"'],
        ),
        ({"phrase": "Bye!"}, ["ok Bye!", "ok.bye!"], ["ok bye", "bye! x"]),
    ],
    "ends_with_mark": [
        ({"mark": "!"}, ["Go!", "Go?!\n"], ["Go.", "Go!)", "**Go!**", "Go！"]),
        ({"mark": "?"}, ["Really?"], ["Really"]),
    ],
    "repeats_first": [
        (
            {"request": "What is a bee?"},
            ["What is a bee? An insect.", "what is a bee?\n\nIt flies."],
            [
                "What is a bee?",
                "An insect.",
                "You ask: What is a bee? It flies.",
                "What is a bee? 🐝",
                "What is a bee",
            ],
        ),
    ],
    "json_object": [
        (
            {"keys": ["a", "b"]},
            ['{"a": 1, "b": null}', '\r\n{"b": [1],\r\n "a": "“x”\u2028", "c": 2}\r\n'],
            [
                '{"a": 1}',
                '[{"a": 1, "b": 2}]',
                '```json\n{"a": 1, "b": 2}\n```',
                'Here: {"a": 1, "b": 2}',
                "{'a': 1, 'b': 2}",
                '{"a": NaN, "b": -Infinity}',
                '{"x": {"a": 1, "b": 2}}',
                '{“a”: 1, "b": 2}',
                "7",
                '{"a": ' + "9" * 5000 + ', "b": 1}',
            ],
        ),
    ],
    "code_fence": [
        (
            {},
            ["```\nx\n```", "See:\n```python\nx = 1\n\ny\n```\nDone.", "  ```sh\r\n  ls\r\n  ```"],
            ["```\nx", "`x`", "```\n```", "``` x ```", "x\n```", "```\n```python"],
        ),
    ],
    "double_quoted": [
        (
            {},
            ['"Hello there."', "“Hello.”", "\"It's 'fine'\"", '"Line\nbreak"'],
            ["Hello", '"A" and "b"', '"Hello', "'Hello'", '"Hello".', '"!"', "“a”"[::-1], '"'],
        ),
    ],
    "in_language": [
        (
            {"language": "english"},
            ["The cat is on the mat.", "IT IS WHAT IT IS", "I can't stay; you'll have to go with them."],
            ["Le chat est sur le tapis.", "Hmm", "El gato está en la casa y come.", "1234", "Кошка спит"],
        ),
        (
            {"language": "french"},
            ["Le chat est sur le tapis.", "L'eau et l'air", "Bonjour", "J'aime beaucoup les pommes !"],
            ["The cat is on the mat.", "El perro está con los gatos.", "Der Hund und die Katze"],
        ),
        (
            {"language": "spanish"},
            ["El gato está en la casa y duerme.", "Hay una flor muy bonita."],
            ["Le chat est dans la maison et il dort.", "The cat sleeps in the house.", "La la la"],
        ),
        (
            {"language": "german"},
            [
                "Der Hund und die Katze schlafen.",
                "Morgen wird es sonnig bei 23 Grad. Am Abend kann es regnen.",
            ],
            ["The dog and the cat sleep.", "Le chien et les chats", "El gato es negro y muy grande."],
        ),
        (
            {"language": "russian"},
            ["Привет, мир!", "Ёлка №1 уже ждёт, ok"],
            ["Hello", "Да, this is English text", "123"],
        ),
        ({"language": "japanese"}, ["お茶は飲み物です。", "テレビ"], ["茶", "中文句子", "Tea です", "Hello"]),
    ],
    "alphabetical_items": [
        (
            {"count": 3},
            [
                "- ant\n- Bee\n- cat",
                "1. ant\n2. ant\n3. bee",
                "ant\nbee\n\ncat",
                "ant, bee, cat",
                "Here you are:\n- **Ant**: small\n- élan\n- Fox",
            ],
            [
                "- bee\n- ant\n- cat",
                "ant, bee",
                "ant, bee, cat, dog",
                "ant, bee and cat",
                "Animals:\nant\nbee\ncat",
            ],
        ),
    ],
    "ordered_numbers": [
        (
            {"count": 3, "direction": "rising"},
            ["1 2 3", "-5, 0, 2.5", "1. 10\n2. 20\n3. 30", "Pay 900 or 1,000 or 1,000.5", "10-20-30"],
            ["3 2 1", "1 2", "1 2 2", "1 2 3 4", "one two three"],
        ),
        ({"count": 2, "direction": "falling"}, ["9\n8", "2 -2"], ["8 9", "9 9", "9 8 7"]),
    ],
    "two_alternatives": [
        (
            {"separator": "OR"},
            ["Tea\nOR\nMilk", "Tea\n\n or \n\nMilk\nand honey"],
            ["Tea OR milk", "OR\nTea", "Tea\nOR", "Tea\nOR\nMilk\nOR\nJuice", "Tea\nOR\ntea!", "OR"],
        ),
        ({"separator": "---"}, ["a\n---\nb"], ["a\n----\nb", "a\n--- b"]),
    ],
    "placeholders_at_least": [
        (
            {"count": 2},
            ["Dear [name], see you on [day].", "[a][b][c]", "[[name]] [Ort]"],
            ["Dear [name]", "[1] and [2]", "[site](x) and [name]", "[a\nb] [c]", "(name) <day>"],
        ),
    ],
    "angle_title": [
        (
            {},
            ["<<My Day>>\nIt was good.", "\n <<A>> \r\n\r\ntext"],
            [
                "<<My Day>>",
                "My Day\nIt was good.",
                "<My Day>\ntext",
                "<<A>> text",
                "text\n<<A>>",
                "<<!>>\ntext",
                "<<A>>\n!",
            ],
        ),
    ],
    "one_of": [
        (
            {"options": ["yes", "not sure"]},
            ["Yes", "yes.", "NOT  sure!", "yes\n"],
            ["Yes, it is", "no", "yes!!", "**Yes**", "yes or not sure", "sure"],
        ),
    ],
    "lines_begin_with": [
        ({"mark": ">"}, ["> a\n\n> b", "  >a", "> a"], ["> a\nb", "a", ">\n> b", ">"]),
        ({"mark": "Because"}, ["Because a\nBecause b"], ["because a", "Because"]),
    ],
    "acrostic": [
        (
            {"word": "tea"},
            ["Time\nEbbs\nAway", "- the\n- *End*\n- all", "1. To\n2. Eat\n\n3. Apples"],
            ["Time\nEbbs", "Time\nEbbs\nAway\nNow", "tea", "Poem:\nTime\nEbbs\nAway", "T\n!\nE\nA"],
        ),
    ],
    "postscript": [
        (
            {},
            ["Hi.\nP.S. Bye.", "Hi.\n\nPS: bye", "hi\np.s. bye", "Hi\nP. S. Bye"],
            ["Hi.", "P.S. Bye.", "Hi.\nP.S.", "P.S. Bye.\nHi.", "Hi.\nPS5 is out", "Hi. P.S. Bye."],
        ),
    ],
    "contains_question": [
        (
            {},
            [
                "How are you?",
                "He said “why?” and left",
                "Why?! No.",
                "**Is it?**",
                "元気ですか？",
                'Is it "tea"?',
            ],
            ["I wonder.", "? a", "http://x.org/a?b=1", "How - ?", "what?ever"],
        ),
    ],
}

TABLE = [
    pytest.param({"kind": kind, **parameters}, reply, kept, id=f"{kind}-{reply[:20]!a}-{kept}")
    for kind, groups in CASES.items()
    for parameters, keep, break_ in groups
    for replies, kept in ((keep, True), (break_, False))
    for reply in replies
]

HOSTILE = {
    "letters": "a" * 100_000,
    "spaces": "a" + " " * 100_000 + "b",
    "lines": "a\n" * 50_000,
    "blank lines": "a" + "\n \t" * 30_000 + "b",
    "accents": "a" + "\u0301\u0327" * 50_000,
    "stars": "*" * 100_000 + "a",
    "bold": "**a" * 30_000,
    "fences": "```a\n" * 20_000,
    "brackets": "[" * 100_000 + "a",
    "angles": "<<" * 50_000 + "a",
    "quotes": '"' * 100_000 + "a",
    "hyphens": "a-" * 50_000,
    "stops": "a" + "." * 100_000,
    "closers": "a?" + ")" * 100_000 + "a",
    "digits": "9" * 100_000,
    "groups": "1,000" + ",000" * 25_000,
    "arrays": '{"name": ' + "[" * 100_000,
    "objects": '{"a":' * 30_000,
    "numbered": "1. " * 30_000,
    "postscript": "a\nP.S. " + "." * 100_000,
    "surrogates": "\ud800\udfff a \udc00",
    "controls": "\x00\x1b[31m\u202e a \u2066\ufeff\u200b",
    "zalgo": "h̷̛e̵̋l̶l̸o a" * 1000,
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈 a" * 1000,
}


class TestKinds:
    def test_there_are_enough_kinds_and_each_has_cases_and_words_that_say_what_counts(self):
        assert len(KINDS) >= 28
        assert set(CASES) == set(KINDS)
        assert all(function.__doc__ for function in KINDS.values())

    @pytest.mark.parametrize("kind", sorted(CASES))
    def test_every_kind_has_two_replies_of_each_sort(self, kind):
        assert sum(len(keep) for _, keep, _ in CASES[kind]) >= 2
        assert sum(len(broken) for _, _, broken in CASES[kind]) >= 2

    @pytest.mark.parametrize(("constraint", "reply", "kept"), TABLE)
    def test_a_reply_is_judged_as_the_definition_says(self, constraint, reply, kept):
        assert check(reply, constraint) is kept

    @pytest.mark.parametrize("kind", sorted(CASES))
    @pytest.mark.parametrize("reply", ["", " ", "\n\r\n\t", "\u200b\ufeff", "...", "{}", "🎉", "\u2003"])
    def test_a_reply_that_says_nothing_fails_in_both_modes(self, kind, reply):
        constraint = {"kind": kind, **CASES[kind][0][0]}
        assert strict(reply, [constraint]) == loose(reply, [constraint]) == [False]


class TestModes:
    @pytest.mark.parametrize(
        ("constraint", "reply"),
        [
            ({"kind": "starts_with", "phrase": "Dear Sam"}, "Sure, here it is:\nDear Sam, hello."),
            ({"kind": "ends_with", "phrase": "the end"}, "This is the end\nI hope you like it!"),
            ({"kind": "json_object", "keys": ["a"]}, '```json\n{"a": 1}\n```'),
            ({"kind": "json_object", "keys": ["a"]}, '`{"a": 1}`'),
            ({"kind": "one_of", "options": ["yes"]}, "**Yes**"),
            ({"kind": "one_of", "options": ["yes"]}, '"Yes"'),
            ({"kind": "one_of", "options": ["yes"]}, "“Yes.”"),
            ({"kind": "all_lowercase"}, "Here you are:\n\nall small\n\nBye!"),
            ({"kind": "postscript"}, "Hi.\n**P.S.** Bye."),
        ],
    )
    def test_loose_forgives_what_stands_around_the_answer(self, constraint, reply):
        assert strict(reply, [constraint]) == [False]
        assert loose(reply, [constraint]) == [True]

    def test_loose_does_not_forgive_a_broken_rule(self):
        constraint = {"kind": "without_words", "words": ["sun"]}
        assert loose("The sun.\nThe sun.\nThe sun.", [constraint]) == [False]

    def test_loose_does_not_empty_a_reply_to_pass_it(self):
        assert loose("a, b", [{"kind": "without_commas"}]) == [False]

    def test_each_constraint_is_judged_by_itself(self):
        both = [{"kind": "all_lowercase"}, {"kind": "contains_digit"}]
        assert strict("small", both) == [True, False]
        assert loose("Ok 1\nsmall", both) == [True, True]
        assert strict("small", []) == loose("small", []) == []


class TestInvalidConstraints:
    @pytest.mark.parametrize(
        ("constraint", "says"),
        [
            ({}, "needs a 'kind'"),
            ({"kind": "rhymes"}, "needs a 'kind'"),
            ({"kind": ["words_at_least"]}, "needs a 'kind'"),
            ({"kind": "check"}, "needs a 'kind'"),
            ("words_at_least", "needs a 'kind'"),
            ({"kind": "words_at_least"}, "takes count"),
            ({"kind": "words_at_least", "count": 3, "size": 3}, "takes count"),
            ({"kind": "all_lowercase", "reply": "x"}, "takes no parameters"),
            ({"kind": "all_lowercase", "return": "x"}, "takes no parameters"),
            ({"kind": "words_between", "high": 3}, "takes low, high"),
            ({"kind": "words_between", "low": 4, "high": 3}, "'low' to be at most 'high'"),
            ({"kind": "words_at_least", "count": "3"}, "a whole number of at least 1"),
            ({"kind": "words_at_least", "count": True}, "a whole number of at least 1"),
            ({"kind": "words_at_least", "count": 2.0}, "a whole number of at least 1"),
            ({"kind": "words_at_least", "count": 0}, "a whole number of at least 1"),
            ({"kind": "starts_with", "phrase": " "}, "a text that is not empty"),
            ({"kind": "starts_with", "phrase": ["a"]}, "a text that is not empty"),
            ({"kind": "includes_words", "words": []}, "a list of texts"),
            ({"kind": "includes_words", "words": "ab"}, "a list of texts"),
            ({"kind": "includes_words", "words": ["a", ""]}, "a list of texts"),
            ({"kind": "includes_words", "words": [1]}, "a list of texts"),
            ({"kind": "without_letter", "letter": "ab"}, "a single letter"),
            ({"kind": "without_letter", "letter": "7"}, "a single letter"),
            ({"kind": "in_language", "language": "klingon"}, "one of english"),
            ({"kind": "in_language", "language": ["english"]}, "one of english"),
            ({"kind": "ends_with_mark", "mark": ";"}, "one of ., !, ?"),
        ],
    )
    @pytest.mark.parametrize("reply", ["some reply", ""])
    def test_it_is_a_data_error_of_one_sentence(self, constraint, says, reply):
        with pytest.raises(DataError) as caught:
            check(reply, constraint)
        message = str(caught.value)
        assert says in message
        assert "\n" not in message
        assert message.endswith(".")


class TestProperties:
    words = st.sampled_from([word for reply in SATISFYING.values() for word in reply.split(" ")])
    marks = st.sampled_from(["\n", "\n\n", " ", "**", "`", '"', "- ", "1. ", "# ", "?", "!", "OR", "[x]", "P.S. "])
    patchwork = st.lists(words | marks, max_size=12).map(" ".join)
    replies = st.text(max_size=60) | patchwork | st.sampled_from(list(SATISFYING.values()))

    @given(reply=replies, constraint=st.sampled_from(USED))
    @settings(max_examples=300, deadline=None)
    def test_strict_implies_loose(self, reply, constraint):
        assert strict(reply, [constraint]) <= loose(reply, [constraint])

    @given(reply=st.text(st.characters(), max_size=60) | patchwork)
    @settings(max_examples=40, deadline=None)
    def test_no_text_makes_any_constraint_in_use_raise(self, reply):
        assert all(type(kept) is bool for kept in strict(reply, USED))

    @given(reply=replies, constraint=st.sampled_from(USED), end=st.sampled_from(["\r\n", "\r"]))
    @settings(max_examples=200, deadline=None)
    def test_the_style_of_line_ends_does_not_matter(self, reply, constraint, end):
        unix = reply.replace("\r\n", "\n").replace("\r", "\n")
        assert check(unix.replace("\n", end), constraint) is check(unix, constraint)

    @given(reply=replies, constraint=st.sampled_from(USED))
    @settings(max_examples=100, deadline=None)
    def test_outer_whitespace_does_not_matter(self, reply, constraint):
        assert check(f"\n  {reply}\t\n", constraint) is check(reply, constraint)

    @pytest.mark.parametrize("name", HOSTILE)
    def test_hostile_text_is_judged_without_raising_and_soon(self, name):
        started = time.process_time()
        for kind, groups in CASES.items():
            assert check(HOSTILE[name], {"kind": kind, **groups[0][0]}) in (True, False)
        # Generous: a quadratic step at this size takes minutes.
        assert time.process_time() - started < 20


class TestPrompts:
    def test_there_are_enough_and_their_ids_are_unique_and_in_order(self):
        assert len(PROMPTS) >= 96
        assert [prompt["id"] for prompt in PROMPTS] == [f"ins-{i:03d}" for i in range(1, len(PROMPTS) + 1)]
        assert len({prompt["prompt"] for prompt in PROMPTS}) == len(PROMPTS)

    def test_every_kind_is_used_in_at_least_three_prompts(self):
        uses = Counter(kind for prompt in PROMPTS for kind in {c["kind"] for c in prompt["constraints"]})
        assert {kind: uses[kind] for kind in KINDS if uses[kind] < 3} == {}

    def test_every_prompt_has_a_satisfying_reply(self):
        assert set(SATISFYING) == {prompt["id"] for prompt in PROMPTS}

    @pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt["id"])
    def test_a_prompt_is_valid_and_can_be_satisfied(self, prompt):
        assert set(prompt) == {"id", "prompt", "constraints"}
        assert prompt["prompt"] == prompt["prompt"].strip()
        assert 1 <= len(prompt["constraints"]) <= 3
        kinds = [constraint["kind"] for constraint in prompt["constraints"]]
        assert len(set(kinds)) == len(kinds)
        reply = SATISFYING[prompt["id"]]
        assert len(reply.split()) <= 80
        kept = strict(reply, prompt["constraints"])
        assert [constraint for constraint, good in zip(prompt["constraints"], kept, strict=True) if not good] == []

    @pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: prompt["id"])
    def test_a_prompt_states_the_words_that_it_is_judged_by(self, prompt):
        # An acrostic's letters may be given one by one, and a language is named in that language.
        for constraint in prompt["constraints"]:
            if constraint["kind"] in ("acrostic", "in_language", "ordered_numbers", "ends_with_mark"):
                continue
            values = [value for name, value in constraint.items() if name != "kind"]
            texts = [text for value in values for text in (value if isinstance(value, list) else [value])]
            assert [t for t in texts if isinstance(t, str) and t.lower() not in prompt["prompt"].lower()] == []

    @pytest.mark.parametrize(
        "reply",
        [
            "I'm sorry, but I can't help with that.",
            "Sure! Here is what you asked for.",
            "As a language model, I have no opinion on this. There is a lot to say about it, and the best"
            " answer depends on what you need, so please tell me more about your situation first.",
        ],
    )
    def test_a_stock_reply_satisfies_no_prompt(self, reply):
        assert [prompt["id"] for prompt in PROMPTS if all(strict(reply, prompt["constraints"]))] == []

    def test_a_reply_to_another_prompt_seldom_satisfies(self):
        passing = sum(
            all(strict(SATISFYING[other["id"]], prompt["constraints"]))
            for prompt in PROMPTS
            for other in PROMPTS
            if other is not prompt
        )
        assert passing / (len(PROMPTS) * (len(PROMPTS) - 1)) < 0.01


def test_the_public_names_are_the_kinds_and_the_three_ways_to_ask():
    public = {
        name
        for name, value in vars(constraints).items()
        if getattr(value, "__module__", "") == constraints.__name__ and not name.startswith("_")
    }
    assert public == set(KINDS) | {"Letter", "check", "loose", "strict"}
