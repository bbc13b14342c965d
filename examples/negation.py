"""Short made-up reviews that turn on a negation: negation-train.csv and negation-test.csv.

    python examples/negation.py --folder examples

Columns: text, label (0 negative, 1 positive), domain (always "negation") and construction. Templates come in pairs, one of
each label, that differ in little but the negation, so that single words do not give the label away. A pair makes as many
texts of either label. Films, books, hotels, phones, food, apps, flights and things for the kitchen have words of their own.

Most constructions are in both files: about three quarters of their pairs make training texts, the others test texts. Eight
constructions make test texts only. The test file's column held_out tells them apart, with "template" and "construction".
Nouns, adjectives, verbs and neighbouring sentences differ between the files as well: see `TEST_THINGS`. Only the training
texts have emoji, since an emoji would give the label away.

The rows of a pair are neighbours, in the order of the constructions. So texts that training holds out in runs of neighbours
have, for the most part, templates that it does not train on.
"""

import argparse
import csv
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TRAIN_ROWS = 12_000
TEST_ROWS: Mapping[str, int] = {"template": 800, "construction": 400}
"""Number of test texts by `Construction.held_out`."""


@dataclass(frozen=True)
class Part:
    """A part of a thing, with adjectives that people use for it.

    Attributes:
        name: noun, without an article.
        good, bad: adjectives.
        plural: whether the noun is a plural.
    """

    name: str
    good: tuple[str, ...]
    bad: tuple[str, ...]
    plural: bool = False


@dataclass(frozen=True)
class Thing:
    """Words for reviews of one kind of thing.

    Attributes:
        items: nouns.
        good, bad: adjectives for the thing.
        parts: parts of the thing.
        prizes, duds: what a good one and a bad one are called, with the article.
        joys, flaws: countable nouns for one good and one bad moment or feature.
        verb: infinitive, gerund, past and participle of what one does with it, with the object.
        neutral: sentences without an opinion.
    """

    items: tuple[str, ...]
    good: tuple[str, ...]
    bad: tuple[str, ...]
    parts: tuple[Part, ...]
    prizes: tuple[str, ...]
    duds: tuple[str, ...]
    joys: tuple[str, ...]
    flaws: tuple[str, ...]
    verb: tuple[str, str, str, str]
    neutral: tuple[str, ...]


TRAIN_GOOD = ("good", "great", "wonderful", "excellent", "amazing", "nice", "fantastic", "impressive", "enjoyable")
TRAIN_BAD = ("bad", "awful", "terrible", "horrible", "poor", "disappointing", "annoying", "rubbish")
TEST_GOOD = ("superb", "lovely", "brilliant", "terrific", "splendid", "outstanding", "pleasant", "fabulous")
TEST_BAD = ("dreadful", "lousy", "mediocre", "appalling", "atrocious", "pathetic", "dire", "abysmal")

TRAIN_THINGS: Mapping[str, Thing] = {
    "film": Thing(
        items=("film", "movie", "comedy", "sequel", "documentary"),
        good=(*TRAIN_GOOD, "funny", "gripping", "moving", "clever", "entertaining"),
        bad=(*TRAIN_BAD, "boring", "dull", "slow", "predictable", "silly", "pointless"),
        parts=(
            Part("acting", ("convincing", "great", "believable"), ("wooden", "bad", "stiff")),
            Part("plot", ("clever", "gripping", "good"), ("thin", "confusing", "predictable")),
            Part("jokes", ("funny", "fresh", "clever"), ("stale", "lame", "stupid"), plural=True),
            Part("ending", ("satisfying", "moving", "great"), ("rushed", "disappointing", "silly")),
            Part("characters", ("likeable", "believable", "interesting"), ("flat", "annoying", "boring"), plural=True),
        ),
        prizes=("a masterpiece", "a gem", "a classic", "the film of the year"),
        duds=("a waste of time", "a mess", "a flop", "a snoozefest"),
        joys=("laugh", "good scene", "surprise", "clever line"),
        flaws=("dull moment", "plot hole", "wasted scene", "bad performance"),
        verb=("watch it", "watching it", "watched it", "watched it"),
        neutral=("Saw it with my brother last night.", "Watched this on a long train ride.", "It runs for two hours."),
    ),
    "book": Thing(
        items=("book", "novel", "story", "biography"),
        good=(*TRAIN_GOOD, "gripping", "moving", "interesting", "well written", "informative"),
        bad=(*TRAIN_BAD, "boring", "dull", "repetitive", "predictable", "badly written", "shallow"),
        parts=(
            Part("writing", ("beautiful", "great", "vivid"), ("clumsy", "bad", "flat")),
            Part("chapters", ("interesting", "gripping", "vivid"), ("boring", "repetitive", "dull"), plural=True),
            Part("hero", ("likeable", "interesting", "believable"), ("annoying", "flat", "boring")),
            Part("translation", ("good", "fluent", "excellent"), ("poor", "stiff", "terrible")),
        ),
        prizes=("a page-turner", "a treasure", "a classic", "a must-read"),
        duds=("a waste of paper", "a chore", "a let-down", "a waste of money"),
        joys=("good idea", "interesting page", "surprise", "memorable line"),
        flaws=("boring page", "wasted word", "dull chapter", "mistake"),
        verb=("read it", "reading it", "read it", "read it"),
        neutral=("Got this from my aunt for my birthday.", "It has 400 pages.", "Our book club picked it in May."),
    ),
    "hotel": Thing(
        items=("hotel", "place", "resort", "hostel"),
        good=(*TRAIN_GOOD, "clean", "comfortable", "quiet", "relaxing", "friendly"),
        bad=(*TRAIN_BAD, "dirty", "noisy", "run-down", "overpriced", "uncomfortable", "depressing"),
        parts=(
            Part("room", ("clean", "comfortable", "spacious"), ("dirty", "noisy", "smelly")),
            Part("staff", ("friendly", "helpful", "polite"), ("rude", "unhelpful", "lazy"), plural=True),
            Part("breakfast", ("delicious", "good", "fresh"), ("cold", "awful", "disappointing")),
            Part("beds", ("comfortable", "soft", "clean"), ("hard", "uncomfortable", "filthy"), plural=True),
        ),
        prizes=("a dream", "a hidden gem", "a little paradise", "great value"),
        duds=("a nightmare", "a dump", "a rip-off", "a waste of money"),
        joys=("smile", "clean towel", "quiet night", "helpful answer"),
        flaws=("bad night", "dirty corner", "problem", "unfriendly face"),
        verb=("stay here", "staying here", "stayed here", "stayed here"),
        neutral=("We were here for three nights in June.", "Booked it for a conference.", "Our room was on the fifth floor."),
    ),
    "phone": Thing(
        items=("phone", "camera", "headset", "charger", "tablet"),
        good=(*TRAIN_GOOD, "reliable", "fast", "solid", "well made", "easy to use"),
        bad=(*TRAIN_BAD, "slow", "useless", "cheaply made", "unreliable", "defective", "complicated"),
        parts=(
            Part("battery", ("reliable", "great", "strong"), ("weak", "terrible", "unreliable")),
            Part("sound", ("clear", "rich", "great"), ("tinny", "muffled", "awful")),
            Part("buttons", ("solid", "sturdy", "good"), ("flimsy", "stiff", "cheap"), plural=True),
            Part("display", ("sharp", "bright", "excellent"), ("dim", "blurry", "poor")),
            Part("instructions", ("clear", "easy", "helpful"), ("useless", "confusing", "wrong"), plural=True),
        ),
        prizes=("a bargain", "a great buy", "a winner", "the best buy in years"),
        duds=("a piece of junk", "a waste of money", "a lemon", "a rip-off"),
        joys=("good picture", "useful feature", "clear call", "good reason to keep it"),
        flaws=("dropped call", "problem", "hiccup", "scratch"),
        verb=("buy it", "buying it", "bought it", "bought it"),
        neutral=("Ordered it on Monday.", "This one replaces my old one.", "I have had it for six weeks now."),
    ),
    "food": Thing(
        items=("restaurant", "place", "diner", "cafe"),
        good=(*TRAIN_GOOD, "delicious", "tasty", "cosy", "friendly", "authentic"),
        bad=(*TRAIN_BAD, "bland", "overpriced", "greasy", "dirty", "noisy", "tasteless"),
        parts=(
            Part("food", ("tasty", "delicious", "fresh"), ("bland", "cold", "greasy")),
            Part("service", ("friendly", "quick", "attentive"), ("slow", "rude", "careless")),
            Part("waiters", ("friendly", "polite", "quick"), ("rude", "slow", "bored"), plural=True),
            Part("fries", ("crisp", "fresh", "hot"), ("soggy", "cold", "stale"), plural=True),
            Part("coffee", ("strong", "excellent", "good"), ("weak", "burnt", "undrinkable")),
        ),
        prizes=("a treat", "a hidden gem", "my new favorite", "a great find"),
        duds=("a disaster", "a rip-off", "a tourist trap", "a let-down"),
        joys=("good bite", "smile", "fresh ingredient", "tasty dish"),
        flaws=("bad dish", "wrong order", "problem", "bad meal"),
        verb=("eat here", "eating here", "ate here", "eaten here"),
        neutral=("We came on a Friday with four people.", "It is next to the station.", "I had the fish, my wife the soup."),
    ),
    "app": Thing(
        items=("app", "update", "program", "site"),
        good=(*TRAIN_GOOD, "useful", "fast", "simple", "helpful", "easy to use"),
        bad=(*TRAIN_BAD, "slow", "buggy", "useless", "confusing", "bloated", "unusable"),
        parts=(
            Part("menu", ("clear", "simple", "well designed"), ("confusing", "cluttered", "ugly")),
            Part("search", ("fast", "accurate", "helpful"), ("slow", "broken", "useless")),
            Part("ads", ("rare", "discreet", "harmless"), ("annoying", "endless", "intrusive"), plural=True),
            Part("support", ("quick", "helpful", "friendly"), ("useless", "slow", "rude")),
        ),
        prizes=("a must-have", "a life saver", "a gem", "a real time saver"),
        duds=("a waste of space", "a joke", "a mess", "a battery killer"),
        joys=("useful feature", "improvement", "good idea", "quick answer"),
        flaws=("crash", "bug", "problem", "annoying ad"),
        verb=("install it", "installing it", "installed it", "installed it"),
        neutral=("I use it on the bus.", "Running it on an older phone.", "Got it for keeping my shopping lists."),
    ),
    "flight": Thing(
        items=("flight", "trip", "airline"),
        good=(*TRAIN_GOOD, "comfortable", "smooth", "relaxing", "on time"),
        bad=(*TRAIN_BAD, "uncomfortable", "stressful", "chaotic", "exhausting"),
        parts=(
            Part("seat", ("comfortable", "wide", "clean"), ("cramped", "uncomfortable", "broken")),
            Part("crew", ("friendly", "helpful", "attentive"), ("rude", "unfriendly", "careless")),
            Part("meal", ("tasty", "hot", "good"), ("cold", "inedible", "tasteless")),
            Part("announcements", ("clear", "helpful", "friendly"), ("confusing", "useless", "late"), plural=True),
        ),
        prizes=("a pleasure", "a joy", "a real treat", "great value"),
        duds=("a nightmare", "a disaster", "an ordeal", "a joke"),
        joys=("friendly word", "smile", "free drink", "helpful answer"),
        flaws=("delay", "problem", "rude word", "lost bag"),
        verb=("fly with them", "flying with them", "flew with them", "flown with them"),
        neutral=("We flew from Dublin to Rome.", "I sat by the window in row 20.", "It took about four hours."),
    ),
    "kitchen": Thing(
        items=("blender", "kettle", "pan", "coffee maker"),
        good=(*TRAIN_GOOD, "sturdy", "quick", "handy", "easy to clean", "well made"),
        bad=(*TRAIN_BAD, "flimsy", "useless", "noisy", "cheaply made", "hard to clean"),
        parts=(
            Part("lid", ("tight", "solid", "well made"), ("loose", "flimsy", "leaky")),
            Part("handle", ("sturdy", "comfortable", "solid"), ("shaky", "loose", "slippery")),
            Part("blades", ("sharp", "sturdy", "strong"), ("dull", "weak", "rusty"), plural=True),
            Part("cord", ("long", "sturdy", "well made"), ("short", "flimsy", "useless")),
        ),
        prizes=("a great buy", "a bargain", "a winner", "a real helper"),
        duds=("a piece of junk", "a waste of money", "a leaky mess", "a mistake"),
        joys=("good meal", "advantage", "useful setting", "good cup"),
        flaws=("problem", "leak", "burnt spot", "stain"),
        verb=("buy it", "buying it", "bought it", "bought it"),
        neutral=("It was a wedding present.", "We use it every morning.", "It comes in red and in black."),
    ),
}  # fmt: skip

TEST_THINGS: Mapping[str, Thing] = {
    "film": Thing(
        items=("thriller", "musical", "remake", "series", "cartoon"),
        good=(*TEST_GOOD, "witty", "thrilling", "charming", "touching"),
        bad=(*TEST_BAD, "tedious", "cheesy", "forgettable", "plodding"),
        parts=(
            Part("script", ("witty", "polished", "superb"), ("uninspired", "sloppy", "dreadful")),
            Part("cast", ("superb", "charming", "perfectly chosen"), ("miscast", "forgettable", "lifeless")),
            Part("songs", ("catchy", "lovely", "touching"), ("tuneless", "dreadful", "forgettable"), plural=True),
            Part("pacing", ("brisk", "perfect", "polished"), ("sluggish", "uneven", "tedious")),
        ),
        prizes=("a triumph", "a delight", "a little wonder"),
        duds=("a train wreck", "a bore", "a travesty"),
        joys=("chuckle", "thrill", "touching moment"),
        flaws=("yawn", "misstep", "false note"),
        verb=("see it", "seeing it", "saw it", "seen it"),
        neutral=("Our neighbours lent us the disc.", "It opened in the spring.", "There was a matinee on Sunday."),
    ),
    "book": Thing(
        items=("memoir", "paperback", "audiobook", "textbook"),
        good=(*TEST_GOOD, "enthralling", "insightful", "witty", "touching"),
        bad=(*TEST_BAD, "tedious", "long-winded", "pretentious", "forgettable"),
        parts=(
            Part("prose", ("elegant", "witty", "superb"), ("pompous", "lifeless", "dreadful")),
            Part("illustrations", ("lovely", "superb", "detailed"), ("sloppy", "hideous", "dreadful"), plural=True),
            Part("narrator", ("charming", "lively", "brilliant"), ("monotonous", "lifeless", "irritating")),
        ),
        prizes=("a triumph", "a delight", "a jewel"),
        duds=("a bore", "a slog", "a shambles"),
        joys=("chuckle", "insight", "touching passage"),
        flaws=("typo", "false note", "tedious passage"),
        verb=("pick it up", "picking it up", "picked it up", "picked it up"),
        neutral=("My uncle lent me his copy.", "It is set in Norway.", "I borrowed it at the library."),
    ),
    "hotel": Thing(
        items=("guest house", "motel", "inn", "campsite"),
        good=(*TEST_GOOD, "spotless", "peaceful", "welcoming", "charming"),
        bad=(*TEST_BAD, "grubby", "shabby", "damp", "gloomy"),
        parts=(
            Part("bathroom", ("spotless", "modern", "lovely"), ("mouldy", "grubby", "tiny")),
            Part("receptionists", ("welcoming", "courteous", "charming"), ("grumpy", "dismissive", "clueless"), plural=True),
            Part("pool", ("lovely", "spotless", "well kept"), ("grubby", "murky", "crowded")),
        ),
        prizes=("a haven", "a delight", "a home from home"),
        duds=("a shambles", "a hovel", "a swindle"),
        joys=("kind gesture", "peaceful hour", "welcome drink"),
        flaws=("cockroach", "hassle", "grumpy look"),
        verb=("check in there", "checking in there", "checked in there", "checked in there"),
        neutral=("We arrived by car around noon.", "It lies opposite the park.", "My cousins were with us."),
    ),
    "phone": Thing(
        items=("laptop", "printer", "keyboard", "smartwatch", "router"),
        good=(*TEST_GOOD, "dependable", "responsive", "sleek", "robust"),
        bad=(*TEST_BAD, "sluggish", "faulty", "fragile", "clunky"),
        parts=(
            Part("screen", ("razor-sharp", "radiant", "superb"), ("grainy", "washed out", "cracked")),
            Part("keys", ("responsive", "robust", "silent"), ("sticky", "wobbly", "clunky"), plural=True),
            Part("signal", ("stable", "superb", "dependable"), ("patchy", "erratic", "abysmal")),
        ),
        prizes=("a steal", "a workhorse", "a marvel"),
        duds=("a brick", "a swindle", "a paperweight"),
        joys=("benefit", "smart touch", "pleasant surprise"),
        flaws=("glitch", "hassle", "defect"),
        verb=("order it", "ordering it", "ordered it", "ordered it"),
        neutral=("The parcel came on a Tuesday.", "It sits on my desk at the office.", "My daughter set it up."),
    ),
    "food": Thing(
        items=("bakery", "pizzeria", "bistro", "sushi bar"),
        good=(*TEST_GOOD, "mouth-watering", "welcoming", "flavourful", "charming"),
        bad=(*TEST_BAD, "unappetising", "grubby", "pricey", "unhygienic"),
        parts=(
            Part("pizza", ("crispy", "mouth-watering", "superb"), ("doughy", "lukewarm", "flavourless")),
            Part("desserts", ("heavenly", "superb", "flavourful"), ("sickly", "dry", "flavourless"), plural=True),
            Part("waitress", ("charming", "courteous", "welcoming"), ("grumpy", "dismissive", "clueless")),
        ),
        prizes=("a delight", "a feast", "a revelation"),
        duds=("a shambles", "a swindle", "an insult to the palate"),
        joys=("flavourful mouthful", "kind gesture", "welcome touch"),
        flaws=("hair in the soup", "dry mouthful", "hassle"),
        verb=("book a table there", "booking a table there", "booked a table there", "booked a table there"),
        neutral=("My colleagues go there for lunch.", "It has a terrace by the river.", "Our table was upstairs."),
    ),
    "app": Thing(
        items=("game", "plugin", "browser", "podcast player"),
        good=(*TEST_GOOD, "intuitive", "polished", "responsive", "absorbing"),
        bad=(*TEST_BAD, "sluggish", "glitchy", "clunky", "spammy"),
        parts=(
            Part("interface", ("intuitive", "polished", "sleek"), ("clunky", "dated", "baffling")),
            Part("levels", ("inventive", "varied", "superb"), ("monotonous", "tedious", "unfair"), plural=True),
            Part("sync", ("dependable", "seamless", "responsive"), ("erratic", "sluggish", "faulty")),
        ),
        prizes=("a delight", "a marvel", "a keeper"),
        duds=("a shambles", "a money grab", "a bore"),
        joys=("smart touch", "benefit", "thrill"),
        flaws=("glitch", "freeze", "hassle"),
        verb=("download it", "downloading it", "downloaded it", "downloaded it"),
        neutral=("My nephew showed it to me.", "I have the paid version.", "It needs 80 MB of storage."),
    ),
    "flight": Thing(
        items=("ferry", "coach", "night train", "cruise"),
        good=(*TEST_GOOD, "punctual", "restful", "welcoming", "hassle-free"),
        bad=(*TEST_BAD, "packed", "grubby", "overcrowded", "badly organised"),
        parts=(
            Part("cabin", ("spotless", "snug", "well kept"), ("grubby", "stuffy", "damp")),
            Part("conductors", ("courteous", "welcoming", "charming"), ("grumpy", "dismissive", "clueless"), plural=True),
            Part("boarding", ("orderly", "swift", "effortless"), ("messy", "badly organised", "sluggish")),
        ),
        prizes=("a delight", "a breeze", "the best part of the holiday"),
        duds=("a shambles", "torture", "a swindle"),
        joys=("kind gesture", "peaceful hour", "pleasant surprise"),
        flaws=("hassle", "cancellation", "grumpy look"),
        verb=("travel that way", "travelling that way", "travelled that way", "travelled that way"),
        neutral=("We left Hamburg in the evening.", "My parents had the cabin next door.", "The tickets were printed."),
    ),
    "kitchen": Thing(
        items=("toaster", "juicer", "knife set", "rice cooker"),
        good=(*TEST_GOOD, "robust", "dependable", "effortless to use", "sleek"),
        bad=(*TEST_BAD, "wobbly", "faulty", "fragile", "clunky"),
        parts=(
            Part("motor", ("robust", "silent", "superb"), ("feeble", "deafening", "faulty")),
            Part("finish", ("sleek", "lovely", "robust"), ("scratched", "shoddy", "peeling")),
            Part("attachments", ("robust", "dependable", "superb"), ("wobbly", "fragile", "shoddy"), plural=True),
        ),
        prizes=("a steal", "a workhorse", "a marvel"),
        duds=("a swindle", "a fire hazard", "scrap metal"),
        joys=("benefit", "pleasant surprise", "smart touch"),
        flaws=("hassle", "defect", "rust spot"),
        verb=("order it", "ordering it", "ordered it", "ordered it"),
        neutral=("My mother has the same model.", "It stands next to the sink.", "The parcel came on a Tuesday."),
    ),
}  # fmt: skip

TRAIN_WORDS: Mapping[str, tuple[str, ...]] = {
    "atall": ("at all", "in the least", "one bit", "at all"),
    "very": ("that", "so", "very", "particularly", "really"),
    "friend": ("My brother", "A friend", "My boss", "Everybody", "The guy at work"),
    "people": ("anyone", "my friends", "a friend", "families", "anybody I like"),
}
TEST_WORDS: Mapping[str, tuple[str, ...]] = {
    "atall": ("whatsoever", "in any way"),
    "very": ("especially", "remotely", "exactly"),
    "friend": ("My cousin", "The neighbours", "My flatmate", "Half the town"),
    "people": ("colleagues", "students", "my parents", "couples"),
}

Pair = tuple[str, str]
"""A positive template and its negative mirror image.

A template may open with the things that it fits, such as "film book|". {good}, {bad} and so on are drawn from `Thing`,
{pgood} and {pbad} from the part.
"""


@dataclass(frozen=True)
class Construction:
    """Templates of one construction, by the file that they make texts for.

    Attributes:
        train: pairs for the training texts, none if the construction is held out.
        test: pairs for the test texts.
    """

    train: tuple[Pair, ...] = ()
    test: tuple[Pair, ...] = ()

    @property
    def held_out(self) -> str:
        """Unit that training lacks: "template", or "construction" if it lacks all of them."""
        return "template" if self.train else "construction"


TEMPLATES: Mapping[str, Construction] = {
    "plain": Construction(
        train=(
            ("The {part} {was} {pgood}.", "The {part} {was} {pbad}."),
            ("This {item} is {good}.", "This {item} is {bad}."),
            ("{good} and {good2}.", "{bad} and {bad2}."),
            ("It is {prize}.", "It is {dud}."),
            (
                "The {part} {was} {pgood} and the {part2} {was2} {pgood2}.",
                "The {part} {was} {pbad} and the {part2} {was2} {pbad2}.",
            ),
            ("I enjoyed this {item}, it is {good}.", "I hated this {item}, it is {bad}."),
            ("I would {do} again.", "I regret {doing}."),
            ("We loved it, so did the kids.", "We hated it, so did the kids."),
            ("Very happy with the {part}.", "Very unhappy with the {part}."),
        ),
        test=(
            ("Such a {good} {item}!", "Such a {bad} {item}!"),
            ("{prize}! The {part} {is} {pgood}.", "{dud}! The {part} {is} {pbad}."),
            ("I recommend this {item} to {people}.", "I warn {people} about this {item}."),
        ),
    ),
    "not adjective": Construction(
        train=(
            ("Not {bad} {atall}.", "Not {good} {atall}."),
            ("The {part} {was} not {pbad} {atall}.", "The {part} {was} not {pgood} {atall}."),
            ("Not {bad}. Not {bad2}. Just {good}.", "Not {good}. Not {good2}. Just {bad}."),
            (
                "The {part} {is} not {pbad}, and that surprised me in a good way.",
                "The {part} {is} not {pgood}, and that surprised me in a bad way.",
            ),
            ("It is not {bad}.", "It is not {good}."),
            ("Not {bad}!", "Not {good}!"),
            ("Honestly not {bad} {atall}, I was pleasantly surprised.", "Honestly not {good} {atall}, I was let down."),
            ("A {item} that is not {bad}, for a change.", "A {item} that is not {good}, once more."),
            (
                "book hotel phone food app flight kitchen|Not a {bad} {item}.",
                "book hotel phone food app flight kitchen|Not a {good} {item}.",
            ),
            ("Not half as {bad} as it looks.", "Not half as {good} as it looks."),
            ("Not {bad} for the price.", "Not {good} enough for the price."),
            (
                "The {part} {was} not {pbad} and the {part2} {was2} {pgood2}.",
                "The {part} {was} not {pgood} and the {part2} {was2} {pbad2}.",
            ),
            ("Surprisingly not {bad}.", "Sadly not {good}."),
            ("The {part} {is} not {very} {pbad}.", "The {part} {is} not {very} {pgood}."),
            ("It was not {very} {bad}.", "It was not {very} {good}."),
            ("This {item} is not {bad} by any means.", "This {item} is not {good} by any means."),
            ("It is not {bad} and it is not {bad2} either.", "It is not {good} and it is not {good2} either."),
            ("The {part} {is} really not {pbad}.", "The {part} {is} really not {pgood}."),
            ("Is it {bad}? No, it is not.", "Is it {good}? No, it is not."),
            ("It is definitely not {bad}.", "It is definitely not {good}."),
            ("Not {bad}, whatever they claim online.", "Not {good}, whatever they claim online."),
            ("{bad}? Not this {item}.", "{good}? Not this {item}."),
            ("{bad} it is not.", "{good} it is not."),
            (
                "phone app kitchen|I have used worse; this {item} is not {bad}.",
                "phone app kitchen|I have used better; this {item} is not {good}.",
            ),
            ("The {part} did not strike me as {pbad}.", "The {part} did not strike me as {pgood}."),
            (
                "In my opinion the {part} {was} not {pbad} {atall}.",
                "In my opinion the {part} {was} not {pgood} {atall}.",
            ),
            (
                "I looked at the {part} twice and {it} {was} not {pbad}.",
                "I looked at the {part} twice and {it} {was} not {pgood}.",
            ),
            ("For once a {item} that was not {bad} or {bad2}.", "Once more a {item} that was not {good} or {good2}."),
            ("We agreed that the {part} {was} not {pbad}.", "We agreed that the {part} {was} not {pgood}."),
        ),
        test=(
            ("This {item} is not {bad}, it is {good}.", "This {item} is not {good}, it is {bad}."),
            ("It was not {bad}, not even close.", "It was not {good}, not even close."),
            ("Not too {bad}, actually quite {good}.", "Not that {good}, actually quite {bad}."),
            (
                "You would not call the {part} {pbad}, you would call {them} {pgood}.",
                "You would not call the {part} {pgood}, you would call {them} {pbad}.",
            ),
            ("The {part} {is} not {pbad} enough to bother me.", "The {part} {is} not {pgood} enough."),
            (
                "The {part} {was} not {pbad} in any respect, I have to admit.",
                "The {part} {was} not {pgood} in any respect, I have to admit.",
            ),
            ("I would describe it as not {bad}, if you ask me.", "I would describe it as not {good}, if you ask me."),
            ("It did not feel {bad} to me.", "It did not feel {good} to me."),
            (
                "Some would not believe me, but the {part} {is} not {pbad}.",
                "Some would not believe me, but the {part} {is} not {pgood}.",
            ),
            ("Not {very} {bad} for a {item}.", "Not {very} {good} for a {item}."),
        ),
    ),
    "nothing": Construction(
        train=(
            ("There is nothing to dislike about this {item}.", "There is nothing to like about this {item}."),
            ("There was nothing {bad} about it.", "There was nothing {good} about it."),
            ("Nothing about this {item} disappointed me.", "Nothing about this {item} impressed me."),
            ("Nothing to hate here, only things to love.", "Nothing to love here, only things to hate."),
            ("Nothing went wrong, everything was {good}.", "Nothing went right, everything was {bad}."),
            ("Nothing about the {part} bothered me.", "Nothing about the {part} pleased me."),
            ("There is nothing I would change about the {part}.", "There is nothing I would keep about the {part}."),
            ("Nothing but good memories of this {item}.", "Nothing but bad memories of this {item}."),
            ("I have nothing to complain about.", "I have nothing to be happy about."),
            ("Nothing fancy, but {good} all the same.", "Nothing special, and {bad} on top."),
            (
                "Nothing is {bad} here, neither the {part} nor the {part2}.",
                "Nothing is {good} here, neither the {part} nor the {part2}.",
            ),
            ("Nothing to grumble about.", "Nothing to write home about."),
            (
                "I can think of nothing that I did not like about this {item}.",
                "I can think of nothing that I liked about this {item}.",
            ),
            ("phone app kitchen|Nothing I tried with it failed.", "phone app kitchen|Nothing I tried with it worked."),
            ("Nothing in it felt {bad} to me.", "Nothing in it felt {good} to me."),
            ("I would change nothing.", "I would keep nothing."),
            ("Nothing beats this {item}.", "Nothing saves this {item}."),
            ("Nothing was {bad}, nothing was {bad2}.", "Nothing was {good}, nothing was {good2}."),
        ),
        test=(
            ("I could find nothing wrong with the {part}.", "I could find nothing right with the {part}."),
            ("Nothing {bad} to report about the {part}.", "Nothing {good} to report about the {part}."),
            ("I have nothing negative to add.", "I have nothing positive to add."),
            ("I have nothing but praise for the {part}.", "I have nothing but contempt for the {part}."),
            (
                "There is nothing {bad} to find in this {item}, and I looked.",
                "There is nothing {good} to find in this {item}, and I looked.",
            ),
            ("Nothing about the {part} that I did not like.", "Nothing about the {part} that I did like."),
        ),
    ),
    "expected": Construction(
        train=(
            ("I was expecting something {bad}. It was {good}!", "I was expecting something {good}. It was {bad}!"),
            ("Expected very little, got a lot.", "Expected a lot, got very little."),
            ("Expected the worst, and none of it came true.", "Expected the best, and none of it came true."),
            (
                "Went in with low expectations and came out delighted.",
                "Went in with high expectations and came out annoyed.",
            ),
            ("I was prepared for {dud}. Instead I got {prize}.", "I was prepared for {prize}. Instead I got {dud}."),
            ("Better than I expected, much better.", "Worse than I expected, much worse."),
            ("I did not expect to enjoy it, but I did.", "I expected to enjoy it, but I did not."),
            (
                "Based on the price I expected the {part} to be {pbad}. Wrong, {pgood}!",
                "Based on the price I expected the {part} to be {pgood}. Wrong, {pbad}!",
            ),
            (
                "We expected the {part} to let us down; {it} did not.",
                "We expected the {part} to impress us; {it} did not.",
            ),
            ("I did not expect a {good} {item}, but I got one.", "I did not expect a {bad} {item}, but I got one."),
            ("No one expected {prize}, but that is what it is.", "No one expected {dud}, but that is what it is."),
            ("I expected to hate the {part}, but I did not.", "I expected to love the {part}, but I did not."),
        ),
        test=(
            ("Expected {dud}, got {prize}.", "Expected {prize}, got {dud}."),
            (
                "I expected it to be {bad} and it turned out {good}.",
                "I expected it to be {good} and it turned out {bad}.",
            ),
            ("Expected {bad}, got {good}.", "Expected {good}, got {bad}."),
            ("Unlike what I expected, it is not {bad}.", "Unlike what I expected, it is not {good}."),
        ),
    ),
    "thought": Construction(
        train=(
            ("I thought it would be {bad}, but it was not.", "I thought it would be {good}, but it was not."),
            (
                "I thought the {part} would be {pbad}, but {it} {was} not.",
                "I thought the {part} would be {pgood}, but {it} {was} not.",
            ),
            (
                "I was afraid it would be {bad}. It was not {atall}.",
                "I was hoping it would be {good}. It was not {atall}.",
            ),
            (
                "I worried that the {part} would be {pbad}; no need.",
                "I hoped that the {part} would be {pgood}; no chance.",
            ),
            (
                "{friend} warned me that it was {bad}, and it was not.",
                "{friend} promised me that it was {good}, and it was not.",
            ),
            ("It looked {bad} at first, but it was not.", "It looked {good} at first, but it was not."),
            (
                "I feared the {part} would be {pbad}, yet {it} turned out {pgood}.",
                "I believed the {part} would be {pgood}, yet {it} turned out {pbad}.",
            ),
            (
                "I was ready to hate this {item} and ended up loving it.",
                "I was ready to love this {item} and ended up hating it.",
            ),
            ("Thought I would be disappointed. I was not.", "Thought I would be impressed. I was not."),
            (
                "My first thought was {dud}, my second was {prize}.",
                "My first thought was {prize}, my second was {dud}.",
            ),
            ("I thought the {part} might be {pbad}, but no.", "I thought the {part} might be {pgood}, but no."),
            (
                "We thought we were in for {dud}, but we were not.",
                "We thought we were in for {prize}, but we were not.",
            ),
            ("I imagined that it was {bad}, and it is not.", "I imagined that it was {good}, and it is not."),
        ),
        test=(
            (
                "I assumed this {item} would be {dud}. I was wrong.",
                "I assumed this {item} would be {prize}. I was wrong.",
            ),
            ("I was sure I would hate it, but I did not.", "I was sure I would love it, but I did not."),
            ("I would have bet that it is {bad}. It is not.", "I would have bet that it is {good}. It is not."),
            (
                "{friend} thought the {part} would be {pbad}, and {it} {was} not {atall}.",
                "{friend} thought the {part} would be {pgood}, and {it} {was} not {atall}.",
            ),
        ),
    ),
    "recommend": Construction(
        train=(
            ("I could not recommend this {item} more warmly.", "I could not recommend this {item} less warmly."),
            ("Cannot praise the {item} strongly enough to {people}.", "Cannot praise the {item} to {people}."),
            ("I would not hesitate to recommend this {item}.", "I would hesitate to recommend this {item}."),
            ("Cannot praise the {part} enough.", "Cannot praise the {part}, {it} {was} {pbad}."),
            ("There is not a friend I would not recommend it to.", "There is not a friend I would recommend it to."),
            ("I could not have praised it more.", "I could not have praised it less."),
            ("I cannot praise this {item} too much.", "I cannot warn {people} about this {item} too much."),
            ("Not just recommended, a must: the {part} {is} {pgood}.", "Not recommended, the {part} {is} {pbad}."),
        ),
        test=(
            ("I cannot say enough good things about the {part}.", "I cannot say anything good about the {part}."),
            ("I do not recommend many things, but this {item} I do.", "I recommend many things, but not this {item}."),
            ("Would not recommend anything else.", "Would not recommend."),
        ),
    ),
    "never": Construction(
        train=(
            ("It never gets {bad}.", "It never gets {good}."),
            ("The {part} never felt {pbad}.", "The {part} never felt {pgood}."),
            ("I have never been disappointed by the {part}.", "I have never been impressed by the {part}."),
            ("Never a {flaw}, never a complaint.", "Never a {joy}, never a thank you."),
            ("I have never seen such a {good} {item}.", "I have never seen such a {bad} {item}."),
            ("I have never had a better {item}.", "I have never had a worse {item}."),
            (
                "hotel food flight|We were never treated badly, not by anybody.",
                "hotel food flight|We were never treated well, not by anybody.",
            ),
            ("phone app kitchen|It has never failed me.", "phone app kitchen|It has never worked for me."),
            ("film book|I was never tired of it.", "film book|I was never taken by it."),
            ("I will never want another {item}.", "I will never {do} again."),
            ("Never without it again!", "Never again!"),
        ),
        test=(
            ("Never {bad}, always {good}.", "Never {good}, always {bad}."),
            ("They never let me down.", "They never get it right."),
            ("film book|I never wanted it to end.", "film book|I never cared how it ended."),
            (
                "phone app kitchen|Never had a {flaw} in all these months.",
                "phone app kitchen|Never had a {joy} in all these months.",
            ),
        ),
    ),
    "hardly": Construction(
        train=(
            ("There was hardly a {flaw} to be found.", "There was hardly a {joy} to be found."),
            ("It is hardly {dud}; I liked it a lot.", "It is hardly {prize}; I liked little about it."),
            ("I can hardly wait to {do} again.", "I could hardly wait for it to be over."),
            ("I hardly noticed a {flaw}.", "I hardly noticed a {joy}."),
            ("Hardly ever {bad}, nearly always {good}.", "Hardly ever {good}, nearly always {bad}."),
            (
                "I could hardly believe how {pgood} the {part} {was}.",
                "I could hardly believe how {pbad} the {part} {was}.",
            ),
            ("Hardly {dud}.", "Hardly {prize}."),
            ("This {item} is hardly {bad}.", "This {item} is hardly {good}."),
        ),
        test=(
            ("It is hardly expensive for a {item} this {good}.", "It is hardly worth the money."),
            ("It could hardly be more {lgood}.", "It could hardly be more {lbad}."),
            ("You will hardly find a more {lgood} {item}.", "You will hardly find a more {lbad} {item}."),
        ),
    ),
    "could not": Construction(
        train=(
            ("It could not have been better.", "It could not have been worse."),
            ("The {part} could not have been better.", "The {part} could not have been worse."),
            ("I could not be happier with this {item}.", "I could not be more disappointed with this {item}."),
            ("I could not have asked for a better {item}.", "I could not have picked a worse {item}."),
            ("We could not have chosen better.", "We could not have chosen worse."),
            ("film|I could not look away.", "film|I could not keep watching."),
            (
                "phone app kitchen|I could not find a better one.",
                "phone app kitchen|I could not get it to work properly.",
            ),
            ("Could not be more pleased with the {part}.", "Could not be less pleased with the {part}."),
            ("film|I could not stop smiling.", "film|I could not stop yawning."),
            ("I cannot get enough of this {item}.", "I cannot get away from this {item} fast enough."),
            (
                "hotel food flight|We could not thank them enough.",
                "hotel food flight|We could not get out fast enough.",
            ),
            ("It could not be any more {lgood}.", "It could not be any more {lbad}."),
            ("I could not agree more with the good reviews.", "I could not agree more with the bad reviews."),
            ("I cannot imagine a better {item}.", "I cannot imagine a worse {item}."),
            ("Cannot fault it.", "Cannot stand it."),
            ("The {part} cannot be beaten.", "The {part} cannot be forgiven."),
        ),
        test=(
            ("I could not wish for more.", "I could not have got less."),
            ("book|I could not put it down.", "book|I could not finish it."),
            (
                "hotel food flight|They could not have been more helpful.",
                "hotel food flight|They could not have been less helpful.",
            ),
            ("I could not fault the {part}.", "I could not stand the {part}."),
            (
                "I could not have been more impressed by the {part}.",
                "I could not have been less impressed by the {part}.",
            ),
            ("I could not love the {part} more.", "I could not like the {part} less."),
        ),
    ),
    "regret": Construction(
        train=(
            ("I do not regret {doing}.", "I deeply regret {doing}."),
            ("We were not disappointed by the {part}.", "We were not satisfied with the {part}."),
            ("I wish I had {done} sooner.", "I wish I had not {done}."),
            ("I should have {done} years ago.", "I should never have {done}."),
            ("I wish every {item} were this {good}.", "I wish the {part} {was} not so {pbad}."),
            ("If only I had {done} earlier, it is {good}.", "If only I had not {done}, it is {bad}."),
            ("I would {do} again even if it cost me double.", "I would not {do} again if you paid me."),
            ("Nobody will regret {doing}.", "Everybody will regret {doing}."),
            ("No customer will regret {doing}.", "Many a customer will regret {doing}."),
            ("I have no regrets about {doing}.", "I have many regrets about {doing}."),
            ("You will never wish that you had not {done}.", "You will soon wish that you had not {done}."),
            ("I do not think you will be sorry if you {do}.", "I think you will be sorry if you {do}."),
            ("Not for a second did I regret {doing}.", "Not for a second did I enjoy {doing}."),
        ),
        test=(
            ("You will not be sorry.", "You will be sorry."),
            ("You will not be disappointed.", "You will be disappointed."),
            ("I am not sorry that I {did}.", "I am sorry that I {did}."),
            ("My only regret is that I have not {done} sooner.", "My only regret is that I have {done}."),
        ),
    ),
    "neither": Construction(
        train=(
            ("Neither {bad} nor {bad2}, simply {good}.", "Neither {good} nor {good2}, simply {bad}."),
            ("It was neither {bad} nor {bad2}.", "It was neither {good} nor {good2}."),
            (
                "The {part} {was} not {pbad} and the {part2} {was2} not {pbad2} either.",
                "The {part} {was} not {pgood} and the {part2} {was2} not {pgood2} either.",
            ),
            ("I was neither annoyed nor disappointed, I loved it.", "I was neither amused nor impressed, I hated it."),
        ),
        test=(
            (
                "Neither the {part} nor the {part2} let me down.",
                "Neither the {part} nor the {part2} did anything for me.",
            ),
        ),
    ),
    "fail": Construction(
        train=(
            ("It lives up to the hype.", "It fails to live up to the hype."),
            ("The {part} did not disappoint.", "The {part} did not impress."),
            ("This {item} does not disappoint.", "This {item} does not deliver."),
            ("It never fails to please.", "It fails to please."),
            ("The {part} did not let us down.", "The {part} let us down."),
            ("It keeps its word, and then some.", "It does not keep its word."),
            ("You cannot go wrong with this {item}.", "You can only go wrong with this {item}."),
        ),
        test=(
            ("It did not fail to impress me.", "It failed to impress me."),
            ("It did live up to its reputation.", "It did not live up to its reputation."),
        ),
    ),
    "too": Construction(
        train=(
            ("Too {good} to miss.", "Too {bad} to be worth anyone's time."),
            ("book|Too {good} to put down.", "film book|Too {bad} to finish."),
            ("film book|I was too hooked to be bored.", "film book|I was too bored to care."),
            (
                "The {part} {was} almost too {pgood} to be true, and I loved it.",
                "It sounded too good to be true, and it was.",
            ),
        ),
        test=(
            ("{good} enough to {do} again next week.", "Not {good} enough to {do} again."),
            ("The {part} {was} too {pgood} for me to complain.", "The {part} {was} too {pbad} for me to enjoy."),
        ),
    ),
    "not only": Construction(
        train=(
            ("Not only {good} but also {good2}.", "Not only {bad} but also {bad2}."),
            (
                "Not only {is} the {part} {pgood}, the {part2} {is2} {pgood2} as well.",
                "Not only {is} the {part} {pbad}, the {part2} {is2} {pbad2} as well.",
            ),
            ("Not just {good}, {good2}!", "Not just {bad}, {bad2}!"),
            ("It is not only {good} but {good2} too.", "It is not only {bad} but {bad2} too."),
            (
                "The {part} {is} not only {pgood} but also good value.",
                "The {part} {is} not only {pbad} but also bad value.",
            ),
            ("Not only is it {prize}, it is {good} too.", "Not only is it {dud}, it is {bad} too."),
            (
                "This {item} is not just {good} but the best of its kind.",
                "This {item} is not just {bad} but the worst of its kind.",
            ),
        ),
        test=(
            (
                "It is not merely {good}, it is the best {item} I know.",
                "It is not merely {bad}, it is the worst {item} I know.",
            ),
            (
                "Not only did I like the {part}, I loved the {part2}.",
                "Not only did I dislike the {part}, I hated the {part2}.",
            ),
        ),
    ),
    "cannot believe": Construction(
        train=(
            ("I cannot believe how {good} this {item} is.", "I cannot believe how {bad} this {item} is."),
            ("I cannot wait to {do} again.", "I cannot see why anybody would {do} again."),
            (
                "I cannot remember the last time I found such a {good} {item}.",
                "I cannot remember the last time I found such a {bad} {item}.",
            ),
            ("I cannot think of a more {lgood} {item}.", "I cannot think of a more {lbad} {item}."),
            ("Make no mistake, this is {prize}.", "Make no mistake, this is {dud}."),
            ("I do not give praise lightly, but this is {good}.", "I do not complain often, but this is {bad}."),
            (
                "I do not know why it took me so long to {do}, it is {good}.",
                "I do not know why I bothered to {do}, it is {bad}.",
            ),
        ),
        test=(
            ("I did not know that a {item} could be this {good}.", "I did not know that a {item} could be this {bad}."),
            ("We cannot wait to tell {people} how {good} it is.", "We cannot wait to tell {people} how {bad} it is."),
        ),
    ),
    "would have": Construction(
        train=(
            (
                "It might have been {dud}, but the {part} saved it. I liked it.",
                "It might have been {prize}, but the {part} ruined it.",
            ),
            ("It should have been {bad}, and yet I loved it.", "It should have been {good}, and yet I hated it."),
            (
                "It would have been {bad} if the {part} had not been so {pgood}. I enjoyed it.",
                "It would have been {good} if the {part} had not been so {pbad}.",
            ),
            (
                "phone app kitchen|It would be {bad} only if it stopped working.",
                "phone app kitchen|It would be {good} if it worked.",
            ),
            (
                "It would have been {dud} if they had not improved the {part}. Now it is {good}.",
                "It would have been {prize} if they had improved the {part}. Now it is {bad}.",
            ),
            (
                "Without the {part} it would have been {bad}, but as it is, {good}.",
                "With a better {part} it would have been {good}, but as it is, {bad}.",
            ),
            (
                "I would have grumbled if it had been {bad}. It was not.",
                "I would have cheered if it had been {good}. It was not.",
            ),
            (
                "I would have complained had there been a {flaw}. There was none.",
                "I would have praised it had there been a {joy}. There was none.",
            ),
        ),
        test=(
            ("Could have been {bad}, was not.", "Could have been {good}, was not."),
            (
                "It had everything to be {bad}, but no, it was {good}.",
                "It had everything to be {good}, but no, it was {bad}.",
            ),
        ),
    ),
    "lack": Construction(
        train=(
            ("It lacks nothing.", "It lacks everything."),
            ("Everything a {item} needs is here.", "Nothing that a {item} needs is here."),
            ("It lacks nothing that makes a {item} {good}.", "It lacks everything that makes a {item} {good}."),
            ("I missed nothing, the {part} {was} {pgood}.", "I missed a lot, the {part} {was} {pbad}."),
        ),
        test=(
            (
                "The {item} is free of everything that I usually hate.",
                "The {item} is missing everything that I usually like.",
            ),
        ),
    ),
    "others": Construction(
        train=(
            (
                "People complain that the {part} {is} {pbad}. I do not agree.",
                "People rave that the {part} {is} {pgood}. I do not agree.",
            ),
            ("Others found it {bad}. Not me.", "Others found it {good}. Not me."),
            ("I do not agree that it is {bad}.", "I do not agree that it is {good}."),
            ("I disagree with everybody who finds it {bad}.", "I disagree with everybody who finds it {good}."),
            ("I do not understand why people hate this {item}.", "I do not understand why people like this {item}."),
            ("It is not as {bad} as people claim, I liked it.", "It is not as {good} as people claim, I disliked it."),
            ("I do see what the fuss is about.", "I do not see what the fuss is about."),
            ("{friend} said that I would hate it. Wrong.", "{friend} said that I would love it. Wrong."),
            (
                "The reviews made it sound {bad}. Not so, it is {good}.",
                "The reviews made it sound {good}. Not so, it is {bad}.",
            ),
            ("Ignore the people who call it {dud}.", "Ignore the people who call it {prize}."),
            (
                "Whoever finds the {part} {pbad} did not look closely.",
                "Whoever finds the {part} {pgood} did not look closely.",
            ),
        ),
        test=(
            ("{friend} called it {dud}, but I do not think so.", "{friend} called it {prize}, but I do not think so."),
            ("Others said that it is {bad}, they were wrong.", "Others said that it is {good}, they were wrong."),
            ("I read that the {part} {is} {pbad}. Not true.", "I read that the {part} {is} {pgood}. Not true."),
            (
                "They all complained about the {part}, and they were all wrong.",
                "They all raved about the {part}, and they were all wrong.",
            ),
        ),
    ),
    "far from": Construction(
        train=(
            ("Far from {bad}.", "Far from {good}."),
            ("It is far from {bad}, it is {good}.", "It is far from {good}, it is {bad}."),
            ("The {part} {was} far from {pbad}.", "The {part} {was} far from {pgood}."),
            ("Far from {dud}, this is {prize}.", "Far from {prize}, this is {dud}."),
            ("Far from pointless.", "Far from perfect."),
            ("This {item} is far from being {bad}.", "This {item} is far from being {good}."),
            ("The {part} {is} a long way from {pbad}.", "The {part} {is} a long way from {pgood}."),
            (
                "The {part} {was} nowhere near as {pbad} as I had feared.",
                "The {part} {was} nowhere near as {pgood} as I had hoped.",
            ),
        ),
        test=(
            ("Far from {bad} and nowhere near {bad2}.", "Far from {good} and nowhere near {good2}."),
            ("I was far from disappointed.", "I was far from delighted."),
            ("It is nowhere near {dud}.", "It is nowhere near {prize}."),
        ),
    ),
    "do not think": Construction(
        train=(
            ("I did not find the {part} {pbad}.", "I did not find the {part} {pgood}."),
            (
                "I do not believe that anyone could find this {item} {bad}.",
                "I do not believe that anyone could find this {item} {good}.",
            ),
            ("I do not hate it, I love it.", "I do not love it. I do not even like it."),
            ("I do not find it {bad}, I find it {good}.", "I do not find it {good}, I find it {bad}."),
            ("I did not dislike a thing about this {item}.", "I did not like a thing about this {item}."),
        ),
        test=(
            ("I do not think it is {bad} {atall}.", "I do not think it is {good} {atall}."),
            (
                "I did not mind the {part} {atall}, {it} {was} {pgood}.",
                "I did not enjoy the {part} {atall}, {it} {was} {pbad}.",
            ),
        ),
    ),
    "comparison": Construction(
        train=(
            ("No other {item} comes close.", "Any other {item} is better."),
            ("You will not find a better {item}.", "You will not find a worse {item}."),
            ("Not nearly as {bad} as I had feared.", "Not nearly as {good} as I had hoped."),
            (
                "The {part} {is} not as {pbad} as before, {it} {is} {pgood} now.",
                "The {part} {is} not as {pgood} as before, {it} {is} {pbad} now.",
            ),
            ("Less {lbad} than ever, it keeps getting better.", "Less {lgood} than ever, it keeps getting worse."),
        ),
        test=(
            ("There is not a better {item} around.", "There is not a worse {item} around."),
            ("It does not get better than this.", "It does not get worse than this."),
        ),
    ),
    "not one": Construction(
        train=(
            ("Not one {flaw}.", "Not one {joy}."),
            ("Not a {flaw} in sight.", "Not a {joy} in sight."),
            ("Not one {flaw}, and the {part} {is} {pgood}.", "Not one {joy}, and the {part} {is} {pbad}."),
            ("Not one of us was disappointed.", "Not one of us was happy."),
        ),
        test=(
            ("Not a single {flaw} so far.", "Not a single {joy} so far."),
        ),
    ),
    "but": Construction(
        train=(
            ("I did not like the {part} at first, but I do now.", "I liked the {part} at first, but I do not now."),
            (
                "The {part} {is} not {pgood}, but everything else is {good} and I would {do} again.",
                "The {part} {is} not {pbad}, but everything else is {bad} and I would not {do} again.",
            ),
            (
                "I did not like it at first. Now I would not be without it.",
                "I liked it at first. Now I cannot stand it.",
            ),
            ("It is not perfect, but it is {good}.", "It is not the worst, but it is {bad}."),
        ),
        test=(
            (
                "The {part} {was} {pbad}, but that did not spoil it: I loved this {item}.",
                "The {part} {was} {pgood}, but that did not save it: I hated this {item}.",
            ),
        ),
    ),
    "emoji alone": Construction(
        train=(
            ("{neutral} {smile}", "{neutral} {frown}"),
            ("{neutral} {smile}{smile}", "{neutral} {frown}{frown}"),
            ("{smile} {neutral}", "{frown} {neutral}"),
            ("The {part}: {smile}", "The {part}: {frown}"),
            ("This {item}: {smile}", "This {item}: {frown}"),
            ("{neutral} The {part} {smile}", "{neutral} The {part} {frown}"),
            ("{neutral} My verdict: {smile}", "{neutral} My verdict: {frown}"),
        ),
    ),
    "anything but": Construction(
        train=(
            ("Anything but {bad}.", "Anything but {good}."),
            ("The {part} {was} anything but {pbad}.", "The {part} {was} anything but {pgood}."),
            ("This is anything but {dud}.", "This is anything but {prize}."),
            ("This {item} turned out to be anything but {bad}.", "This {item} turned out to be anything but {good}."),
            ("I was anything but disappointed.", "I was anything but satisfied."),
            ("All of it is anything but {bad}.", "All of it is anything but {good}."),
            ("The {part} {is} {pgood}, anything but {pbad}.", "The {part} {is} {pbad}, anything but {pgood}."),
        ),
        test=(
            ("You can call the {part} anything but {pbad}.", "You can call the {part} anything but {pgood}."),
            ("{bad}? Anything but that.", "{good}? Anything but that."),
        ),
    ),
    "without": Construction(
        train=(
            ("Without a {flaw} from beginning to end.", "Without a {joy} from beginning to end."),
            ("A {item} without weaknesses.", "A {item} without strengths."),
            ("I would not want to be without this {item}.", "I would be better off without this {item}."),
            ("We spent the whole time without a {flaw}.", "We spent the whole time without a {joy}."),
            ("{good} without being {bad}.", "{bad} without being {good}."),
            ("Without exception, the {part} {was} {pgood}.", "Without exception, the {part} {was} {pbad}."),
            (
                "phone app kitchen|It does its job without any fuss.",
                "phone app kitchen|It makes a fuss without doing its job.",
            ),
            ("I left without a single complaint.", "I left without a single good memory."),
        ),
        test=(
            (
                "phone app kitchen|Months have passed without a {flaw}.",
                "phone app kitchen|Months have passed without a {joy}.",
            ),
            ("Without doubt the most {lgood} {item} in ages.", "Without doubt the most {lbad} {item} in ages."),
        ),
    ),
    "not once": Construction(
        train=(
            ("Not once did I long for something else.", "Not once did I feel glad about my choice."),
            ("Not for one moment did it feel {bad}.", "Not for one moment did it feel {good}."),
            ("At no point {was} the {part} {pbad}.", "At no point {was} the {part} {pgood}."),
        ),
        test=(
            ("Not once did the {part} get on my nerves.", "Not once did the {part} win me over."),
        ),
    ),
    "it is not that": Construction(
        train=(
            (
                "It is not for the {part} alone that I find this {item} so {good}.",
                "It is not for the {part} alone that I find this {item} so {bad}.",
            ),
            (
                "The {part}? Not what makes it {good}. That would be the {part2}.",
                "The {part}? Not what makes it {bad}. That would be the {part2}.",
            ),
            ("It is not just me, {friend2} adored it as well.", "It is not just me, {friend2} loathed it as well."),
            (
                "It is not that I am easy to please; it is that this {item} is {good}.",
                "It is not that I am hard to please; it is that this {item} is {bad}.",
            ),
            (
                "It is not that I had low hopes; it is that the {part} {is} {pgood}.",
                "It is not that I had high hopes; it is that the {part} {is} {pbad}.",
            ),
            (
                "It is not that I love every {item}; it is that this one is {good}.",
                "It is not that I hate every {item}; it is that this one is {bad}.",
            ),
            (
                "It is not that the {part} {is} just {pgood}, {it} {is} the best I know.",
                "It is not that the {part} {is} just {pbad}, {it} {is} the worst I know.",
            ),
            (
                "It is not the price that makes me like this {item}, it is the {part}.",
                "It is not the price that makes me dislike this {item}, it is the {part}.",
            ),
        ),
        test=(
            (
                "It is not just that the {part} {was} {pgood}; everything else was {good} too.",
                "It is not just that the {part} {was} {pbad}; everything else was {bad} too.",
            ),
            ("Not that I minded the {part}; I liked {them}.", "Not that I liked the {part}; I could not bear {them}."),
            (
                "phone app kitchen|It is not that I am a fan of the brand; the {part} {is} just {pgood}.",
                "phone app kitchen|It is not that I am an enemy of the brand; the {part} {is} just {pbad}.",
            ),
        ),
    ),
    "no": Construction(
        train=(
            ("No quibbles {atall}.", "No fun {atall}."),
            ("No {flaw}, no {flaw2}, no worries.", "No {joy}, no {joy2}, no point."),
            ("Zero issues with the {part}.", "Zero effort went into the {part}."),
            (
                "There is no such thing as a {bad} hour with this {item}.",
                "There is no such thing as a {good} hour with this {item}.",
            ),
            ("No part of it is {bad}.", "No part of it is {good}."),
            ("No {item} has made me happier.", "No {item} has made me angrier."),
            ("No one could call the {part} {pbad}.", "No one could call the {part} {pgood}."),
            ("There is no better {item}.", "There is no worse {item}."),
            ("In no way did the {part} disappoint.", "In no way did the {part} impress."),
            (
                "No need to worry about the {part}, {it} {is} {pgood}.",
                "No use hoping for the {part}, {it} {is} {pbad}.",
            ),
        ),
        test=(
            ("No regrets.", "No thanks."),
            ("No wonder that it is sold out: {good}.", "No wonder that it is half price: {bad}."),
            ("There is no reason to avoid this {item}.", "There is no reason to {do}."),
            ("There was no {flaw} {atall}.", "There was no {joy} {atall}."),
        ),
    ),
    "by no means": Construction(
        train=(
            ("By no means {bad}.", "By no means {good}."),
            ("The {part} {is} in no way {pbad}.", "The {part} {is} in no way {pgood}."),
            ("This is by no means {dud}.", "This is by no means {prize}."),
            ("Nobody in their right mind could call it {bad}.", "Nobody in their right mind could call it {good}."),
            ("Not by any means {bad}.", "Not by any means {good}."),
            ("In no respect is this {item} {bad}.", "In no respect is this {item} {good}."),
        ),
        test=(
            (
                "By no stretch of the imagination {is} the {part} {pbad}.",
                "By no stretch of the imagination {is} the {part} {pgood}.",
            ),
            ("Under no circumstances would I call it {bad}.", "Under no circumstances would I call it {good}."),
        ),
    ),
    "opposite": Construction(
        train=(
            (
                "{friend} described it as {bad}. It is the exact opposite.",
                "{friend} described it as {good}. It is the exact opposite.",
            ),
            ("The {part} {was} the opposite of {pbad}.", "The {part} {was} the opposite of {pgood}."),
            ("Is it {bad}? Quite the contrary.", "Is it {good}? Quite the contrary."),
            ("It is the opposite of {dud}.", "It is the opposite of {prize}."),
            (
                "I was told that it was {bad}. The opposite, in fact.",
                "I was told that it was {good}. The opposite, in fact.",
            ),
            (
                "Imagine the opposite of a {bad} {item}, and you have this one.",
                "Imagine the opposite of a {good} {item}, and you have this one.",
            ),
        ),
        test=(
            ("{bad} and {bad2}? The opposite is true.", "{good} and {good2}? The opposite is true."),
            ("I was the opposite of disappointed.", "I was the opposite of impressed."),
        ),
    ),
    "think again": Construction(
        train=(
            ("The one-star reviews have it all wrong.", "The five-star reviews have it all wrong."),
            ("Do not listen to the haters.", "Do not listen to the fans."),
            (
                "{friend} predicted {dud}. How mistaken one can be.",
                "{friend} predicted {prize}. How mistaken one can be.",
            ),
            (
                "Anyone who takes the {part} for {pbad} is mistaken.",
                "Anyone who takes the {part} for {pgood} is mistaken.",
            ),
        ),
        test=(
            (
                "If you suspect that this {item} is {bad}, think again.",
                "If you suspect that this {item} is {good}, think again.",
            ),
            ("You may expect {dud}. You would be wrong.", "You may expect {prize}. You would be wrong."),
        ),
    ),
    "last time": Construction(
        train=(
            ("They have not lost me as a customer.", "They have lost me as a customer."),
            ("They have not seen the last of us.", "They have seen the last of us."),
            ("We will be back, no doubt about it.", "We will not be back, no doubt about it."),
            (
                "phone app kitchen|This is not my last {item} from this company.",
                "phone app kitchen|This is my last {item} from this company.",
            ),
        ),
        test=(
            ("That will not be the last time we {do}.", "That will be the last time we {do}."),
            ("Our first time, and not our last.", "Our first time, and surely our last."),
        ),
    ),
    "do not let": Construction(
        train=(
            ("Do not let the low rating scare you away.", "Do not let the high rating lure you in."),
            ("Do not miss it.", "Do not touch it."),
            ("Do not believe those who warn you about the {part}.", "Do not believe those who praise the {part}."),
            ("Do not look any further than this {item}.", "Do not come anywhere near this {item}."),
        ),
        test=(
            (
                "Do not be put off by the {part}, the rest is {good}.",
                "Do not be fooled by the {part}, the rest is {bad}.",
            ),
            ("Do not wait, {do}.", "Do not {do}, keep your money."),
        ),
    ),
    "nothing short of": Construction(
        train=(
            ("Nothing short of {good}.", "Nothing short of {bad}."),
            ("The {part} {was} nothing less than {pgood}.", "The {part} {was} nothing less than {pbad}."),
            ("It is nothing if not {good}.", "It is nothing if not {bad}."),
            ("Little short of {prize}.", "Little short of {dud}."),
        ),
        test=(
            ("This {item} is no less than {good}.", "This {item} is no less than {bad}."),
        ),
    ),
    "trade": Construction(
        train=(
            ("I would not trade it for anything.", "I would trade it for almost anything."),
            ("I would hate to be parted from this {item}.", "I would not wish this {item} on my worst enemy."),
            ("You could not pay me to part with it.", "You could not pay me to {do} again."),
            (
                "phone book kitchen|I will not be giving this {item} away.",
                "phone book kitchen|I cannot even give this {item} away.",
            ),
        ),
        test=(
            ("I would not swap the {part} for any other.", "I would swap the {part} for any other."),
        ),
    ),
    "never once": Construction(
        train=(
            ("I never once wished for a different {item}.", "I never once felt glad about this {item}."),
            ("{friend} never once complained.", "{friend} never once smiled."),
            ("Never once have I had a {flaw}.", "Never once have I had a {joy}."),
            ("It has never once let me down.", "It has never once lived up to its promise."),
            ("In all that time, never once a {flaw}.", "In all that time, never once a {joy}."),
            ("Never once did I doubt my choice.", "Never once did I feel good about my choice."),
        ),
        test=(
            ("Never once did the {part} feel {pbad}.", "Never once did the {part} feel {pgood}."),
            ("The {part} never once annoyed me.", "The {part} never once pleased me."),
        ),
    ),
    "double negation": Construction(
        train=(
            ("It is not without charm.", "It is not without serious faults."),
            ("I would not be unhappy to {do} again.", "I would not be happy to {do} again."),
            ("Not unpleasant {atall}.", "Not pleasant {atall}."),
            ("There is no denying that the {part} {is} {pgood}.", "There is no denying that the {part} {is} {pbad}."),
            ("One cannot help but like this {item}.", "One cannot even begin to like this {item}."),
            ("I could not disagree more with those who hate it.", "I could not disagree more with those who love it."),
            (
                "phone app kitchen|There was not a day when it did not work.",
                "phone app kitchen|There was not a day when it did work.",
            ),
            ("film hotel food flight|Nobody left without a smile.", "film hotel food flight|Nobody left with a smile."),
            ("I do not disapprove of it, quite the reverse.", "I do not approve of it, quite the reverse."),
        ),
        test=(
            (
                "The {part} {was} not without merit, and I liked {them}.",
                "The {part} {was} without merit, and I disliked {them}.",
            ),
            ("I cannot deny that it is {good}.", "I cannot deny that it is {bad}."),
            (
                "phone app kitchen|Not a day goes by that I do not enjoy the {part}.",
                "phone app kitchen|Not a day goes by that I do not curse the {part}.",
            ),
        ),
    ),
    "hard to": Construction(
        test=(
            ("It is hard to fault the {part}.", "It is hard to defend the {part}."),
            ("I searched for weak points and came up empty.", "I searched for strong points and came up empty."),
            ("Weak points? I struggle to name any.", "Strong points? I struggle to name any."),
            (
                "Hard to imagine how the {part} could be improved.",
                "Hard to imagine how the {part} could sink any lower.",
            ),
            ("Impossible to dislike.", "Impossible to like."),
            ("You would have to look hard for a {flaw}.", "You would have to look hard for a {joy}."),
        ),
    ),
    "rather than": Construction(
        test=(
            (
                "The {part} came across as {pgood} rather than {pbad}.",
                "The {part} came across as {pbad} rather than {pgood}.",
            ),
            ("{good} instead of {bad}, what a relief.", "{bad} instead of {good}, what a pity."),
            ("Instead of {dud} we were handed {prize}.", "Instead of {prize} we were handed {dud}."),
            ("In place of {dud}, a {good} {item}.", "In place of {prize}, a {bad} {item}."),
            ("It pleases where others annoy.", "It annoys where others please."),
            ("Less {dud} than {prize}.", "Less {prize} than {dud}."),
        ),
    ),
    "doubts": Construction(
        test=(
            ("My doubts about the {part} vanished within minutes.", "My hopes for the {part} vanished within minutes."),
            ("I came as a sceptic and left as a fan.", "I came as a fan and left as a sceptic."),
            ("Any fear of {dud} was unfounded.", "Any hope of {prize} was unfounded."),
            ("I had my doubts, and the {part} cleared them up.", "I had no doubts, and the {part} gave me plenty."),
            ("All my worries were for nothing.", "All my hopes were for nothing."),
            ("The critics of the {part} owe us an apology.", "The fans of the {part} owe us an apology."),
        ),
    ),
    "no longer": Construction(
        test=(
            ("It used to be {bad}. Those days are over.", "It used to be {good}. Those days are over."),
            ("The {part} {is} no longer {pbad}.", "The {part} {is} no longer {pgood}."),
            ("Gone are the days when the {part} {was} {pbad}.", "Gone are the days when the {part} {was} {pgood}."),
            ("It has stopped being {bad}.", "It has stopped being {good}."),
            ("Once {bad}, now the reverse.", "Once {good}, now the reverse."),
            (
                "They finally got rid of everything {bad} about the {part}.",
                "They finally got rid of everything {good} about the {part}.",
            ),
        ),
    ),
    "pretend": Construction(
        test=(
            ("I cannot pretend not to have adored it.", "I cannot pretend to have adored it."),
            (
                "I would be lying if I claimed not to have adored the {part}.",
                "I would be lying if I claimed to have adored the {part}.",
            ),
            ("Few things here failed to charm me.", "Few things here managed to charm me."),
            ("Who could not love the {part}?", "Who could love the {part}?"),
            ("To claim that I was not charmed would be untrue.", "To claim that I was charmed would be untrue."),
            ("Honesty forbids me to call it {bad}.", "Honesty forbids me to call it {good}."),
        ),
    ),
    "question": Construction(
        test=(
            ("What is there not to like?", "What is there to like?"),
            ("Could it be any better? I doubt it.", "Could it be any worse? I doubt it."),
            ("Why would {people} not want this {item}?", "Why would {people} want this {item}?"),
            ("Who would complain about the {part}?", "Who would rave about the {part}?"),
            ("Is there a {flaw} in it? Show me one.", "Is there a {joy} in it? Show me one."),
            ("How could anyone find the {part} {pbad}?", "How could anyone find the {part} {pgood}?"),
        ),
    ),
    "barely": Construction(
        test=(
            ("Barely a {flaw} in all those hours.", "Barely a {joy} in all those hours."),
            ("Rarely have I come across such a {good} {item}.", "Rarely have I come across such a {bad} {item}."),
            ("Seldom {bad}, mostly {good}.", "Seldom {good}, mostly {bad}."),
            ("Scarcely a {flaw} worth mentioning.", "Scarcely a {joy} worth mentioning."),
            ("The {part} {was} seldom {pbad}, if ever.", "The {part} {was} seldom {pgood}, if ever."),
            ("Precious little to grumble about.", "Precious little to cheer about."),
        ),
    ),
    "many things": Construction(
        test=(
            ("It is many things, but {bad} is not among them.", "It is many things, but {good} is not among them."),
            ("Call it what you like, just not {bad}.", "Call it what you like, just not {good}."),
            (
                "Of all the words for the {part}, {pbad} is the last that fits.",
                "Of all the words for the {part}, {pgood} is the last that fits.",
            ),
            ("{bad} is not the word I would pick.", "{good} is not the word I would pick."),
            (
                "Whatever the {part} may be, {pbad} does not describe {them}.",
                "Whatever the {part} may be, {pgood} does not describe {them}.",
            ),
            ("Pick any insult, it does not fit the {part}.", "Pick any compliment, it does not fit the {part}."),
        ),
    ),
}  # fmt: skip

SMILES = (
    "😀", "😃", "😄", "😁", "😊", "🙂", "😍", "🥰", "😘", "🤩", "😎", "👍", "👏", "🙌", "❤️", "🧡", "💛",
    "💚", "💙", "💜", "💕", "💖", "💗", "💯", "🔥", "⭐", "🌟", "✨", "🎉", "🥳", "😋", "🤗", "😇", "👌",
    "💪", "🏆", "🎊", "🥇", "😻", "🙏", "😌", "😆", "😸", "🤤", "💃", "🕺", "☺️", "🌈", "😺", "💓", "💞",
    "💝", "🤟",
)  # fmt: skip
FROWNS = (
    "😡", "😠", "🤬", "👎", "💩", "🤮", "🤢", "😞", "😔", "😒", "🙄", "😤", "😩", "😫", "😖", "😣", "☹️",
    "🙁", "😕", "😟", "😢", "😴", "🥱", "😑", "😐", "🤦", "😬", "💔", "❌", "🚫", "👿", "😾", "🤡", "😨",
    "😰", "😓", "😥", "😪", "😿", "🙅", "🥴", "🤒", "😧", "😦", "😵", "🗑️", "🖕", "😈", "🤥", "🤨",
)  # fmt: skip
EMOJI = {"positive": SMILES, "negative": FROWNS}

CONTRACTIONS = {
    "do not": "don't", "does not": "doesn't", "did not": "didn't", "is not": "isn't", "are not": "aren't",
    "was not": "wasn't", "were not": "weren't", "will not": "won't", "would not": "wouldn't", "could not": "couldn't",
    "cannot": "can't", "has not": "hasn't", "have not": "haven't", "had not": "hadn't", "should not": "shouldn't",
    "I have never": "I've never", "I am not": "I'm not", "I would": "I'd", "It is": "It's",
}  # fmt: skip

_VOWEL = re.compile(r"\b([Aa]) (?=[aeiou](?!se|ni(?:t|q|v)))")
_SHORT_ADJECTIVE = 7
"""Length below which "more" does not go with an adjective, about."""


_FEWEST = 6
"""Number of texts of a template without slots."""

_TRIES = 50


@dataclass(frozen=True)
class Words:
    """Everything that templates are filled with.

    Attributes:
        things: kinds of things.
        shared: words for all of them, by slot.
    """

    things: Mapping[str, Thing]
    shared: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Style:
    """Shares of texts that get each trait of how people write."""

    contracted: float = 0.65
    pronoun_contracted: float = 0.4
    without_apostrophes: float = 0.06
    lower_case: float = 0.1
    without_stop: float = 0.12
    exclaimed: float = 0.07
    neighbour: float = 0.25
    emoji: float = 0.0


def filled(template: str, words: Words, chance: random.Random) -> tuple[str, Thing]:
    """Fill the slots of a template.

    Returns:
        the text, with a capital at the start of each sentence, and the thing that it is about.
    """
    kinds, _, form = template.rpartition("|")
    thing = words.things[chance.choice(kinds.split() if kinds else sorted(words.things))]
    slots = {**_slots(thing, chance), **{name: chance.choice(some) for name, some in words.shared.items()}}
    slots["friend2"] = slots["friend"][0].lower() + slots["friend"][1:]
    text = form.format_map(slots)
    text = _VOWEL.sub(r"\1n ", text)
    return re.sub(r"(^|[.!?] )([a-z])", lambda start: start[1] + start[2].upper(), text), thing


def _slots(thing: Thing, chance: random.Random) -> dict[str, str]:
    slots: dict[str, str] = {"item": chance.choice(thing.items), "neutral": chance.choice(thing.neutral)}
    for kind, adjectives in (("good", thing.good), ("bad", thing.bad)):
        slots[kind], slots[f"{kind}2"] = chance.sample(adjectives, 2)
        slots[f"l{kind}"] = chance.choice([one for one in adjectives if len(one) > _SHORT_ADJECTIVE and " " not in one])
    for number, part in zip(("", "2"), chance.sample(thing.parts, 2), strict=True):
        slots[f"part{number}"] = part.name
        slots[f"is{number}"], slots[f"was{number}"] = ("are", "were") if part.plural else ("is", "was")
        slots[f"it{number}"], slots[f"them{number}"] = ("they", "them") if part.plural else ("it", "it")
        slots[f"pgood{number}"], slots[f"pbad{number}"] = chance.choice(part.good), chance.choice(part.bad)
    slots["prize"], slots["dud"] = chance.choice(thing.prizes), chance.choice(thing.duds)
    for kind, nouns in (("joy", thing.joys), ("flaw", thing.flaws)):
        slots[kind], slots[f"{kind}2"] = chance.sample(nouns, 2)
    slots.update(zip(("do", "doing", "did", "done"), thing.verb, strict=True))
    slots["smile"], slots["frown"] = chance.choice(SMILES), chance.choice(FROWNS)
    return slots


def styled(text: str, thing: Thing, label: str, style: Style, chance: random.Random) -> str:
    """Write a text as people do: contractions, a neighbouring sentence, small letters, a stop or none, an emoji."""
    if chance.random() < style.contracted:
        if chance.random() < style.pronoun_contracted:
            text = re.sub(r"\b([Ii]t) is not\b", r"\1's not", text)
        for long, short in CONTRACTIONS.items():
            text = re.sub(rf"\b{long}\b", short, text)
            text = text.replace(long.capitalize(), short.capitalize()) if long.islower() else text
    if chance.random() < style.neighbour:
        neighbour = chance.choice(thing.neutral)
        text = f"{neighbour} {text}" if chance.random() < 0.7 else f"{text} {neighbour}"
    if text.endswith(".") and chance.random() < style.exclaimed:
        text = text[:-1] + chance.choice(("!", "!!"))
    if text.endswith(".") and chance.random() < style.without_stop:
        text = text[:-1]
    if chance.random() < style.lower_case:
        text = text.lower()
    if chance.random() < style.without_apostrophes:
        text = text.replace("'", "")
    if chance.random() < style.emoji:
        emoji = chance.choice(EMOJI[label])
        text = f"{text}{chance.choice((' ', ' ', ''))}{emoji * chance.choice((1, 1, 1, 2, 3))}"
    return text


@dataclass(frozen=True)
class Row:
    """A text as it stands in a file."""

    text: str
    label: int
    construction: str
    held_out: str


@dataclass
class _Source:
    """A pair of templates while texts are made.

    Attributes:
        construction: name.
        held_out: value of `Construction.held_out`.
        pair: the templates.
        left: number of texts of each label that it may still make.
        rows: texts so far.
    """

    construction: str
    held_out: str
    pair: Pair
    left: int
    rows: list[Row]


def made(
    constructions: Mapping[str, tuple[Pair, ...]], words: Words, style: Style, count: int, chance: random.Random
) -> list[Row]:
    """Make texts, in each pair as many of either label, no two of them equal; those of a pair are neighbours."""
    seen: set[str] = set()
    sources = [
        _Source(name, TEMPLATES[name].held_out, pair, count if all("{" in form for form in pair) else _FEWEST, [])
        for name, pairs in constructions.items()
        for pair in pairs
    ]
    wanted = count // 2
    while wanted:
        turn = [source for source in sources if source.left]
        for source in turn if len(turn) <= wanted else chance.sample(turn, wanted):
            positive, negative = (
                _unseen(form, label, words, style, seen, chance)
                for form, label in zip(source.pair, ("positive", "negative"), strict=True)
            )
            if positive is None or negative is None:
                source.left = 0
                continue
            source.left -= 1
            wanted -= 1
            for label, text in enumerate((negative, positive)):
                source.rows.append(Row(text, label, source.construction, source.held_out))
    return [row for source in sources for row in source.rows]


def _unseen(form: str, label: str, words: Words, style: Style, seen: set[str], chance: random.Random) -> str | None:
    """Return a text that was not seen before, or None after many tries; add it to those seen."""
    for _ in range(_TRIES):
        text = styled(*filled(form, words, chance), label, style, chance)
        key = re.sub(r"[.,!' ]", "", text).lower()
        if key not in seen:
            seen.add(key)
            return text
    return None


def training_rows() -> list[Row]:
    pairs = {name: one.train for name, one in TEMPLATES.items()}
    return made(pairs, Words(TRAIN_THINGS, TRAIN_WORDS), Style(emoji=0.12), TRAIN_ROWS, random.Random("train"))


def test_rows() -> list[Row]:
    rows: list[Row] = []
    for held_out, count in TEST_ROWS.items():
        pairs = {name: one.test for name, one in TEMPLATES.items() if one.held_out == held_out}
        rows += made(pairs, Words(TEST_THINGS, TEST_WORDS), Style(), count, random.Random(f"test {held_out}"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(), help="folder of the two files")
    folder = parser.parse_args().folder
    columns = ("text", "label", "domain", "construction")
    for split, names, rows in (
        ("train", columns, training_rows()),
        ("test", (*columns, "held_out"), test_rows()),
    ):
        with open(folder / f"negation-{split}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(names)
            writer.writerows([{**vars(row), "domain": "negation"}[name] for name in names] for row in rows)


if __name__ == "__main__":
    main()
