"""Prompts: the template stays whole, the text keeps its beginning, and no more tokens are made than the limit."""

from __future__ import annotations

from functools import cache

import pytest
import tiny
import transformers as hf
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from valens.errors import PromptError
from valens.model.fingerprints import of_tokenizer
from valens.representations import special_tokens
from valens.representations.prompts import PLAIN, Prompt, Tokens, tokenize
from valens.representations.special_tokens import around

ECHO = "Repeat: {text}\nAgain"
SAMPLES = ["the quick brown fox jumps over the lazy dog; Repeat: Again", "größer, κόσμος, 世界, 👩‍👩‍👧 and café " * 3]


@cache
def byte_pairs(special: str = "$A") -> hf.PreTrainedTokenizerFast:
    """A byte-level tokenizer as GPT-2, Qwen and Llama 3 have: any text can be written, and read back from its tokens."""
    fast = Tokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    fast.train_from_iterator(
        SAMPLES * 5,
        trainers.BpeTrainer(
            vocab_size=330,
            special_tokens=["<bos>", "<eos>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    if special != "$A":
        fast.post_processor = processors.TemplateProcessing(single=special, special_tokens=[("<bos>", 0), ("<eos>", 1)])
    return hf.PreTrainedTokenizerFast(tokenizer_object=fast, bos_token="<bos>", eos_token="<eos>")


SPECIALS = ["$A", "<bos> $A", "$A <eos>", "<bos> $A <eos>"]

any_text = st.text(min_size=1, max_size=60).filter(str.strip)
some_text = st.one_of(any_text, st.sampled_from(SAMPLES), st.text("the quick ", min_size=20).filter(str.strip))


def one(tokenizer: hf.PreTrainedTokenizerFast, text: str, prompt: Prompt = PLAIN, max_tokens: int = 512) -> Tokens:
    return tokenize(tokenizer, [text], prompt=prompt, max_tokens=max_tokens)[0]


def decoded(tokenizer: hf.PreTrainedTokenizerFast, ids: list[int] | tuple[int, ...]) -> str:
    return tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)


# --- truncation -------------------------------------------------------------------------------------------------------


@given(
    special=st.sampled_from(SPECIALS),
    template=st.sampled_from(["{text}", ECHO]),
    pool_over=st.sampled_from(["all", "text"]),
    text=some_text,
    room=st.integers(8, 30),
)
@example(special="<bos> $A <eos>", template=ECHO, pool_over="text", text="👩‍👩‍👧" * 5, room=9)
def test_a_cut_text_keeps_its_beginning_and_the_template_whole(special, template, pool_over, text, room):
    tokenizer, prompt = byte_pairs(special), Prompt(template, pool_over=pool_over)
    around = len(one(tokenizer, "a", prompt)) - 1
    cut = one(tokenizer, text, prompt, around + room)
    whole = tokenizer(template.replace("{text}", text)).input_ids
    assert len(cut) <= around + room
    assert cut.truncated == (len(whole) > around + room)
    if not cut.truncated:
        assert list(cut.ids) == whole
    head, tail = template.split("{text}")
    rendered = decoded(tokenizer, cut.ids)
    assert rendered.startswith(head)
    assert rendered.endswith(tail)
    kept = rendered[len(head) : len(rendered) - len(tail)]
    assert kept
    assert text.startswith(kept)
    assert (kept == text) != cut.truncated
    assert ("<bos>" in special) == (cut.ids[0] == tokenizer.bos_token_id)
    assert ("<eos>" in special) == (cut.ids[-1] == tokenizer.eos_token_id)


@given(st.lists(st.integers(4, tiny.VOCABULARY - 1), min_size=1, max_size=40), st.integers(2, 30))
def test_a_cut_text_fills_the_limit(words, max_tokens):
    """Where a token is a word, exactly; one begin-of-sequence token is put first."""
    tokens = one(tiny.tokenizer(), " ".join(f"w{word}" for word in words), max_tokens=max_tokens)
    assert list(tokens.ids) == [2, *words][:max_tokens]
    assert tokens.truncated == (len(words) >= max_tokens)


@pytest.mark.parametrize("special", SPECIALS)
def test_a_limit_may_be_met_to_the_token(special):
    tokenizer = byte_pairs(special)
    whole = one(tokenizer, SAMPLES[0])
    assert one(tokenizer, SAMPLES[0], max_tokens=len(whole)) == whole
    less = one(tokenizer, SAMPLES[0], max_tokens=len(whole) - 1)
    assert less.truncated
    assert len(less) == len(whole) - 1


def test_a_template_that_is_too_long_is_an_error():
    alone = Prompt("Repeat\n{text}\nAgain")
    around = len(one(byte_pairs(), "a", alone)) - 1
    with pytest.raises(PromptError, match=rf"leaves no room for a text within {around} tokens. Raise --max-tokens"):
        one(byte_pairs(), "the quick brown fox", alone, max_tokens=around)
    assert one(byte_pairs(), "the quick brown fox", alone, max_tokens=around + 1).truncated


# --- special tokens and pool_over --------------------------------------------------------------------------------------


@given(st.sampled_from(SPECIALS), some_text)
def test_begin_of_sequence_policies(special, text):
    tokenizer = byte_pairs(special)
    bare = tokenizer(text, add_special_tokens=False).input_ids
    as_it_does, always, never = (one(tokenizer, text, Prompt(bos=bos)) for bos in ("auto", "always", "never"))
    assert list(as_it_does.ids) == tokenizer(text).input_ids
    assert list(never.ids) == bare
    assert always.ids[0] == tokenizer.bos_token_id
    assert always.ids.count(tokenizer.bos_token_id) == 1
    assert all(tokens.pooling_mask == (True,) * len(tokens) for tokens in (as_it_does, always, never))


@given(st.sampled_from(SPECIALS), st.sampled_from(["auto", "always", "never"]), some_text)
def test_only_the_text_is_pooled_if_that_is_asked_for(special, bos, text):
    """Around the text are line ends, so that no token is shared between it and the template."""
    tokenizer = byte_pairs(special)
    tokens = one(tokenizer, "a" + text + "a", Prompt("Repeat\n{text}\nAgain", bos=bos, pool_over="text"))
    speaking = [token for token, pooled in zip(tokens.ids, tokens.pooling_mask, strict=True) if pooled]
    assert not {tokenizer.bos_token_id, tokenizer.eos_token_id}.intersection(speaking)
    assert decoded(tokenizer, speaking) == "a" + text + "a"
    assert decoded(tokenizer, tokens.ids) == f"Repeat\na{text}a\nAgain"


def test_the_limit_counts_the_token_that_is_always_put_first():
    tokens = one(byte_pairs(), SAMPLES[0], Prompt(bos="always"), max_tokens=5)
    assert len(tokens) == 5
    assert tokens.ids[0] == byte_pairs().bos_token_id


def test_always_needs_a_token_to_put_first():
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(PromptError, match="no begin-of-sequence token; use the BOS policy `auto` or `never`"):
        one(tokenizer, "a", Prompt(bos="always"))


naming_text = st.lists(st.sampled_from(["<bos>", "<eos>", "<eo", "s>", " ", "the quick ", "größer"]), min_size=1).map(
    "".join
)


@given(st.sampled_from(SPECIALS), st.sampled_from(["auto", "always", "never"]), naming_text.filter(str.strip))
def test_the_name_of_a_special_token_in_a_text_is_letters(special, bos, text):
    """What is left without the tokens put around reads as the text, though special tokens are not decoded."""
    tokenizer = byte_pairs(special)
    tokens = one(tokenizer, text, Prompt(bos=bos))
    head, tail = around(tokenizer, bos)
    assert tokens.ids[: len(head)] == head
    assert tokens.ids[len(tokens) - len(tail) :] == tail
    assert decoded(tokenizer, tokens.ids) == text
    assert len([token for token in tokens.ids if token in tokenizer.all_special_ids]) == len(head) + len(tail)


@given(st.sampled_from(SPECIALS), st.sampled_from(["all", "text"]), naming_text.filter(str.strip), st.integers(4, 20))
def test_a_template_may_write_special_tokens_whatever_the_text_says(special, pool_over, text, room):
    """A special token parts what is before it from what is after it: the parts alone are the judge."""
    tokenizer, text = byte_pairs(special), f"a{text}a"
    prompt = Prompt("<eos>Repeat\n{text}\n<bos><eos> fox", pool_over=pool_over)
    tail, (bos, eos) = tokenizer(" fox", add_special_tokens=False).input_ids, (0, 1)
    head, after = around(tokenizer, "auto")
    own = tokenizer(f"Repeat\n{text}\n", add_special_tokens=False, split_special_tokens=True).input_ids
    whole = one(tokenizer, text, prompt)
    assert whole.ids == (*head, eos, *own, bos, eos, *tail, *after)
    pooled = [token for token, counts in zip(whole.ids, whole.pooling_mask, strict=True) if counts]
    assert tokenizer.decode(pooled) == text if pool_over == "text" else pooled == list(whole.ids)
    limit = len(one(tokenizer, "a", prompt)) + room
    cut = one(tokenizer, text, prompt, limit)
    assert len(cut) <= limit
    assert cut.truncated == (len(whole) > limit)
    assert cut.ids[: len(head) + 1] == (*head, eos)
    assert cut.ids[-len(tail) - len(after) - 2 :] == (bos, eos, *tail, *after)
    kept = decoded(tokenizer, cut.ids).removeprefix("Repeat\n").removesuffix("\n fox")
    assert text.startswith(kept)


def letters_with_a_space_first(*special: str) -> hf.PreTrainedTokenizerFast:
    """One token a letter, a `▁` for a space and before the first letter alone, as Llama has, and these special tokens."""
    letters = ["?", "▁", *"abceos<>/"]
    fast = Tokenizer(models.BPE({letter: place for place, letter in enumerate(letters)}, [], unk_token="?"))
    fast.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    fast.add_special_tokens([*special])
    return hf.PreTrainedTokenizerFast(tokenizer_object=fast)


@pytest.mark.parametrize("template", ["<bos>a {text}<bos>", "a<bos>{text}", "{text}a<bos>"])
def test_the_text_is_read_as_by_a_tokenizer_without_the_special_tokens_that_it_names(template):
    knowing, ignorant = letters_with_a_space_first("<bos>", "<eos>"), letters_with_a_space_first("<bos>")
    text = "b<eos>c <eos>"
    found, judge = one(knowing, text, Prompt(template)), ignorant(template.replace("{text}", text)).input_ids
    assert list(found.ids) == judge


def test_a_template_and_a_text_may_not_make_a_special_token_between_them():
    tokenizer = byte_pairs()
    (alone,) = tokenize(tokenizer, ["os> fox"], prompt=Prompt("<e{text}"), max_tokens=64)
    (beside,) = tokenize(tokenizer, ["os> fox"], prompt=Prompt("<bos><e{text}"), max_tokens=64)
    assert beside.ids == (0, *alone.ids)
    assert 1 not in alone.ids
    assert decoded(tokenizer, alone.ids) == "<eos> fox"


def test_texts_that_name_special_tokens_and_others_keep_their_order(monkeypatch):
    """And the tokenizer is copied for the sake of those alone, and left as it was."""
    tokenizer, prompt = byte_pairs("<bos> $A"), Prompt("<eos>{text}")
    before = of_tokenizer(tokenizer)
    texts = ["the quick", "a <bos> b", "lazy dog", "<eos>"]
    together = tokenize(tokenizer, texts, prompt=prompt, max_tokens=8)
    assert together == [one(tokenizer, text, prompt, 8) for text in texts]
    assert of_tokenizer(tokenizer) == before
    assert tokenizer("<eos>").input_ids == [0, 1]
    monkeypatch.setattr(special_tokens.copy, "deepcopy", lambda _: pytest.fail("copied"))
    tokenize(tokenizer, texts[::2], prompt=prompt, max_tokens=8)
    tokenize(tokenizer, texts, max_tokens=8)


def test_a_special_token_that_is_a_word_is_none_inside_another_word():
    found = one(tiny.tokenizer(), "w1 w15", Prompt("w3 w30 {text}"))
    assert found.ids == (2, 3, 30, 1, 15)


def test_a_tokenizer_that_cannot_tell_them_apart_says_so():
    tokenizer = hf.ByT5Tokenizer()
    assert len(one(tokenizer, "a</s>")) == 6
    with pytest.raises(PromptError, match="holds the name of a special token, and the prompt writes one too"):
        one(tokenizer, "a</s>", Prompt("</s>{text}"))


@pytest.mark.parametrize("special", SPECIALS)
def test_what_is_put_around_any_text_is_told_apart_from_its_own_tokens(special):
    tokenizer = byte_pairs(special)
    head, tail = around(tokenizer, "auto")
    assert (head, tail) == ((0,) * ("<bos>" in special), (1,) * ("<eos>" in special))
    assert around(tokenizer, "always") == ((0,), tail)
    assert around(tokenizer, "never") == ((), ())


def test_a_text_that_looks_like_a_slot_is_a_text():
    assert decoded(byte_pairs(), one(byte_pairs(), "{text} and {text}", Prompt(ECHO)).ids) == (
        "Repeat: {text} and {text}\nAgain"
    )


def test_padding_and_truncation_that_a_tokenizer_remembers_are_not_used():
    tokenizer = tiny.tokenizer()
    tokenizer(["w5 w6", "w7"], padding="max_length", truncation=True, max_length=2)
    assert one(tokenizer, "w5 w6 w7 w8").ids == (2, 5, 6, 7, 8)


def test_texts_keep_their_order_and_do_not_meet():
    texts = ["w5 w6 w7 w8", "w9", "w10 w11"]
    together = tokenize(tiny.tokenizer(), texts, max_tokens=4)
    assert together == [one(tiny.tokenizer(), text, max_tokens=4) for text in texts]
    assert [tokens.truncated for tokens in together] == [True, False, False]
    assert tokenize(tiny.tokenizer(), [], max_tokens=4) == []


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\u2003"])
def test_an_empty_text_is_named_by_its_place(blank):
    with pytest.raises(PromptError, match=r"2 of 4 texts are empty; the first is text 1 \(counted from 0\)"):
        tokenize(tiny.tokenizer(), ["w5", blank, "w6", blank], max_tokens=8)


def test_half_a_character_is_named_by_its_place():
    with pytest.raises(PromptError, match=r"1 of 2 texts hold half characters .* text 1 .* right encoding"):
        tokenize(tiny.tokenizer(), ["w5", "w6 \ud83d"], max_tokens=8)


def test_a_text_without_tokens_is_an_error():
    no_byte = Tokenizer(models.BPE())  # no vocabulary and no token for the unknown
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=no_byte)
    with pytest.raises(PromptError, match="makes no tokens of the text 'hello'"):
        one(tokenizer, "hello")


@pytest.mark.parametrize("template", ["no slot", "{text} twice {text}", "", "{Text}"])
def test_a_template_has_one_slot(template):
    with pytest.raises(PromptError, match=r"\{text\} in it exactly once; got"):
        Prompt(template)


@pytest.mark.parametrize(("policy", "allowed"), [({"bos": "yes"}, "auto, always"), ({"pool_over": "me"}, "all, text")])
def test_a_policy_that_does_not_exist_is_told_those_that_do(policy, allowed):
    with pytest.raises(PromptError, match=f"choose one of {allowed}"):
        Prompt(**policy)


def test_everything_about_a_prompt_is_its_identity():
    prompts = [PLAIN, Prompt(ECHO), Prompt(bos="never"), Prompt(pool_over="text")]
    assert len({tuple(prompt.identity().items()) for prompt in prompts}) == len(prompts)
    assert [Prompt.of(prompt.identity()) for prompt in prompts] == prompts


def test_stores_know_their_vectors_by_the_same_words_as_ever():
    assert PLAIN.identity() == {"template": "{text}", "bos": "tokenizer", "pool_over": "all"}
