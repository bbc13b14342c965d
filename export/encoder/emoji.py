"""Pieces of their own for frequent emoji, in free places of a WordPiece vocabulary.

Without them, BERT's vocabulary has one unknown token for all, and "great😡" as a whole is unknown as well.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from export.errors import UnsupportedEncoder
from scorer.model.cleaning import EMOJI_VARIANTS, steps_of

# Those that people use most in texts with an opinion, faces first. Frequencies up to 2015 are those of the Emoji Sentiment
# Ranking 1.0 (Kralj Novak et al. 2015, "Sentiment of Emojis", PLoS ONE 10(12)); of later emoji, those of the Unicode
# Consortium's list of 2021 (home.unicode.org/emoji/emoji-frequency). The last lines are things that reviews are about.
EMOJI = (
    "😂😍😭😘😊😁😩😏😉😄😒😃😔😱😜😳😡😎😢😋😴😌😞😆😝😪😫😅😀😚😥😕😤😈😰😑😠😓😣😐😨😖😷😛😬😙😇😲😶😵😮😦😧😟😯😗"
    "🤣🥰🤔🙄🙂🤗🤩🙃🥺🤪😹😻😿😽😸😺😼😾🙀🥳🤤🤨🤢🤮🤬🤯🤦🤷🤐🤒🤓🤕🤠🤡🤥🤧🤫🤭🥱🥴🥵🥶🥲🧐🙁🤑☺☹👿💀☠👻👽🤖💩🙈🙉🙊"
    "❤♥💕♡💖💜💙💗💛💞💚💘💔💓💝💟🧡🖤🤍🤎❣💋👌👏👍🙏✌🙌💪👊✊✋👋👎☝👉👈👆👇🤝🤞🤘🤙🤟🖕🙅🙆🙋🙇💁💃🕺💅👀"
    "✨⭐🌟★☆💫🔥💯💥⚡💢💤💦💨✔✅☑✖❌❎🚫⛔⚠❗❓🏆🥇👑💎🎉🎊🎁🎂🎈🎵🎶♪♫🚀📈📉💰💸🌈☀🌸🌹🌺"
    "📱💻🎬🎥📺📚📖🎧🎤🎮🍿🍕🍔🍟🍗🍝🍜🍣🌮🍦🍰🍫🍩🍪☕🍺🍻🍷🍸🥂🌴✈🚗📦🛒🗑🔋⏰🏨🚽🐛"
)
_FREE = re.compile(r"\[unused\d+\]")
# Words of Unicode's names that mean the drawing, not the emoji: "heavy black heart" is the red one.
_OF_THE_DRAWING = frozenset(
    {"black", "white", "heavy", "medium", "suit", "sign", "symbol", "face", "with", "of", "and"}
)

# Names in Unicode that do not have the meaning that people give an emoji.
_MEANT = {"😡": "enraged", "😤": "annoyed", "🤬": "swearing", "🤮": "vomiting", "🤦": "facepalm"}


@dataclass(frozen=True)
class EmojiPieces:
    """A tokenizer with a piece for each emoji.

    Attributes:
        tokenizer_json: contents of its ``tokenizer.json``.
        ids: ids of the pieces of all `EMOJI` that it has, in their order.
        words: words that a new piece stands for, by its id; the vocabulary had the others before.
    """

    tokenizer_json: str
    ids: tuple[int, ...]
    words: Mapping[int, str]


def add_emoji(tokenizer_json: str, name: str) -> EmojiPieces:
    """Put the emoji that a vocabulary lacks into its free places, and find each wherever it stands in a text.

    Args:
        tokenizer_json: contents of the encoder's ``tokenizer.json``.
        name: name of the encoder, for messages.

    Raises:
        UnsupportedEncoder: the tokenizer is no WordPiece, or has fewer free places than it lacks emoji.
    """
    settings = json.loads(tokenizer_json)
    model, added = settings["model"], settings["added_tokens"]
    if model["type"] != "WordPiece":
        raise UnsupportedEncoder(
            f"--emoji needs a WordPiece vocabulary, and the tokenizer of {name!r} is {model['type']}. Leave out --emoji."
        )
    known = model["vocab"]
    lacking = [emoji for emoji in EMOJI if emoji not in known]
    free = sorted((piece for piece in known if _FREE.fullmatch(piece)), key=known.__getitem__)
    if len(free) < len(lacking):
        raise UnsupportedEncoder(
            f"--emoji needs {len(lacking)} free places in the vocabulary, and that of {name!r} has {len(free)} "
            "(pieces such as [unused1]). Leave out --emoji."
        )
    taken = dict(zip(free, lacking, strict=False))
    model["vocab"] = {taken.get(piece, piece): number for piece, number in known.items()}
    ids = {emoji: int(model["vocab"][emoji]) for emoji in EMOJI}
    already = {token["content"] for token in added}
    # Added tokens are found before the text is split, so that "great😡" has a piece for both.
    added += [_added(emoji, ids[emoji]) for emoji in EMOJI if emoji not in already]
    added.sort(key=lambda token: int(token["id"]))
    steps = steps_of(settings["normalizer"])
    if EMOJI_VARIANTS.normalizer not in steps:
        settings["normalizer"] = {"type": "Sequence", "normalizers": [EMOJI_VARIANTS.normalizer, *steps]}
    return EmojiPieces(
        json.dumps(settings, ensure_ascii=False), tuple(ids.values()), {ids[emoji]: words(emoji) for emoji in lacking}
    )


def words(emoji: str) -> str:
    """Return an emoji's name in Unicode without the words that only describe the drawing, or a better one.

    >>> words("😡"), words("❤"), words("✅")
    ('enraged', 'heart', 'check mark')
    """
    if emoji in _MEANT:
        return _MEANT[emoji]
    name = unicodedata.name(emoji).lower().replace("-", " ").split()
    return " ".join(word for word in name if word not in _OF_THE_DRAWING)


def _added(emoji: str, number: int) -> dict[str, object]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    return {"id": number, "content": emoji, **flags}
