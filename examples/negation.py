"""Short made-up reviews that turn on a negation: negation-train.csv and negation-test.csv.

    python examples/negation.py --folder examples

Columns: text, label (0 negative, 1 positive), domain (always "negation") and construction. Each construction has templates
of both labels that differ in little but the negation, so that single words do not give the label away. Films, books,
hotels, phones, food, apps, flights and things for the kitchen have words of their own. The test texts have other
constructions than the training texts, and other nouns, adjectives, verbs and neighbouring sentences: see `TEST_TEMPLATES`
and `TEST_THINGS`. Only the training texts have emoji, since an emoji would give the label away.

The rows of a template are neighbours, in the order of the constructions. So texts that training holds out in runs of
neighbours have, for the most part, templates that it does not train on.
"""

import argparse
import csv
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TRAIN_ROWS = 4_000
TEST_ROWS = 800

LABELS = {"positive": 1, "negative": 0}


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
        verb=("sit through it", "sitting through it", "sat through it", "sat through it"),
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
        verb=("open it", "opening it", "opened it", "opened it"),
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
    "friend": ("My brother", "A friend", "My boss", "Everybody", "The guy at work"),
    "people": ("anyone", "my friends", "a friend", "families", "anybody I like"),
}
TEST_WORDS: Mapping[str, tuple[str, ...]] = {
    "atall": ("whatsoever", "of any kind"),
    "friend": ("My cousin", "The neighbours", "My flatmate", "Half the town"),
    "people": ("colleagues", "students", "my parents", "couples"),
}

# A template may open with the things that it fits, such as "film book|". {good}, {bad} and so on are drawn from `Thing`,
# {pgood} and {pbad} from the part.
Templates = Mapping[str, Mapping[str, tuple[str, ...]]]

TRAIN_TEMPLATES: Templates = {
    "plain": {
        "positive": (
            "The {part} {was} {pgood}.",
            "This {item} is {good}.",
            "{good} and {good2}.",
            "It is {prize}.",
            "Such a {good} {item}!",
            "The {part} {was} {pgood} and the {part2} {was2} {pgood2}.",
            "I enjoyed this {item}, it is {good}.",
            "I would {do} again.",
            "What {prize}! The {part} {is} {pgood}.",
            "We loved it, so did the kids.",
            "Very happy with the {part}.",
            "I recommend this {item} to {people}.",
        ),
        "negative": (
            "The {part} {was} {pbad}.",
            "This {item} is {bad}.",
            "{bad} and {bad2}.",
            "It is {dud}.",
            "Such a {bad} {item}!",
            "The {part} {was} {pbad} and the {part2} {was2} {pbad2}.",
            "I hated this {item}, it is {bad}.",
            "I regret {doing}.",
            "What {dud}! The {part} {is} {pbad}.",
            "We hated it, so did the kids.",
            "Very unhappy with the {part}.",
            "I warn {people} about this {item}.",
        ),
    },
    "not adjective": {
        "positive": (
            "Not {bad} {atall}.",
            "The {part} {was} not {pbad} {atall}.",
            "This {item} is not {bad}, it is {good}.",
            "It was not {bad}, not even close.",
            "Not {bad}. Not {bad2}. Just {good}.",
            "The {part} {is} not {pbad}, and that surprised me in a good way.",
            "It is not {bad}.",
            "Not {bad}!",
            "Honestly not {bad} {atall}, I was pleasantly surprised.",
            "A {item} that is not {bad}, for a change.",
            "Not too {bad}, actually quite {good}.",
            "Not half {bad}, this {item}. I liked it.",
            "The {part} {was} not {pbad} and the {part2} {was2} {pgood2}.",
            "Surprisingly not {bad}.",
            "You would not call the {part} {pbad}, you would call {them} {pgood}.",
        ),
        "negative": (
            "Not {good} {atall}.",
            "The {part} {was} not {pgood} {atall}.",
            "This {item} is not {good}, it is {bad}.",
            "It was not {good}, not even close.",
            "Not {good}. Not {good2}. Just {bad}.",
            "The {part} {is} not {pgood}, and that surprised me in a bad way.",
            "It is not {good}.",
            "Not {good}!",
            "Honestly not {good} {atall}, I was let down.",
            "Not a {good} {item}.",
            "Not that {good}, actually quite {bad}.",
            "Not {good} enough for the price.",
            "The {part} {was} not {pgood} and the {part2} {was2} {pbad2}.",
            "Sadly not {good}.",
            "The {part} {is} not {pgood} enough.",
        ),
    },
    "nothing": {
        "positive": (
            "There is nothing to dislike about this {item}.",
            "There was nothing {bad} about it.",
            "I could find nothing wrong with the {part}.",
            "Nothing {bad} to report about the {part}.",
            "Nothing about this {item} disappointed me.",
            "Nothing to hate here, only things to love.",
            "I have nothing negative to add.",
            "Nothing went wrong, everything was {good}.",
            "Nothing about the {part} bothered me.",
            "There is nothing I would change about the {part}.",
            "I have nothing but praise for the {part}.",
            "Nothing but good memories of this {item}.",
            "I have nothing to complain about.",
            "Nothing is {bad} here, neither the {part} nor the {part2}.",
            "There is nothing {bad} to find in this {item}, and I looked.",
        ),
        "negative": (
            "There is nothing to like about this {item}.",
            "There was nothing {good} about it.",
            "I could find nothing right with the {part}.",
            "Nothing {good} to report about the {part}.",
            "Nothing about this {item} impressed me.",
            "Nothing to love here, only things to hate.",
            "I have nothing positive to add.",
            "Nothing went right, everything was {bad}.",
            "Nothing about the {part} pleased me.",
            "There is nothing I would keep about the {part}.",
            "I have nothing but contempt for the {part}.",
            "Nothing but bad memories of this {item}.",
            "Nothing special, and {bad} on top.",
            "Nothing is {good} here, neither the {part} nor the {part2}.",
            "Nothing to write home about.",
        ),
    },
    "expected": {
        "positive": (
            "Expected {dud}, got {prize}.",
            "I expected it to be {bad} and it turned out {good}.",
            "I was expecting something {bad}. It was {good}!",
            "Expected very little, got a lot.",
            "Expected the worst, and none of it came true.",
            "Went in with low expectations and came out delighted.",
            "I was prepared for {dud}. Instead I got {prize}.",
            "Better than I expected, much better.",
            "I did not expect to enjoy it, but I did.",
            "Based on the price I expected the {part} to be {pbad}. Wrong, {pgood}!",
        ),
        "negative": (
            "Expected {prize}, got {dud}.",
            "I expected it to be {good} and it turned out {bad}.",
            "I was expecting something {good}. It was {bad}!",
            "Expected a lot, got very little.",
            "Expected the best, and none of it came true.",
            "Went in with high expectations and came out annoyed.",
            "I was prepared for {prize}. Instead I got {dud}.",
            "Worse than I expected, much worse.",
            "I expected to enjoy it, but I did not.",
            "Based on the price I expected the {part} to be {pgood}. Wrong, {pbad}!",
        ),
    },
    "thought": {
        "positive": (
            "I thought it would be {bad}, but it was not.",
            "I thought the {part} would be {pbad}, but {it} {was} not.",
            "I was afraid it would be {bad}. It was not {atall}.",
            "I worried that the {part} would be {pbad}; no need.",
            "{friend} warned me that it was {bad}, and it was not.",
            "I assumed this {item} would be {dud}. I was wrong.",
            "It looked {bad} at first, but it was not.",
            "I feared the {part} would be {pbad}, yet {it} turned out {pgood}.",
            "I was sure I would hate it, but I did not.",
            "I was ready to hate this {item} and ended up loving it.",
            "Thought I would be disappointed. I was not.",
            "My first thought was {dud}, my second was {prize}.",
        ),
        "negative": (
            "I thought it would be {good}, but it was not.",
            "I thought the {part} would be {pgood}, but {it} {was} not.",
            "I was hoping it would be {good}. It was not {atall}.",
            "I hoped that the {part} would be {pgood}; no chance.",
            "{friend} promised me that it was {good}, and it was not.",
            "I assumed this {item} would be {prize}. I was wrong.",
            "It looked {good} at first, but it was not.",
            "I believed the {part} would be {pgood}, yet {it} turned out {pbad}.",
            "I was sure I would love it, but I did not.",
            "I was ready to love this {item} and ended up hating it.",
            "Thought I would be impressed. I was not.",
            "My first thought was {prize}, my second was {dud}.",
        ),
    },
    "recommend": {
        "positive": (
            "I cannot recommend it enough.",
            "I cannot recommend this {item} enough.",
            "Cannot recommend the {item} strongly enough to {people}.",
            "I would not hesitate to recommend this {item}.",
            "I cannot say enough good things about the {part}.",
            "Cannot praise the {part} enough.",
            "There is not a friend I would not recommend it to.",
            "I do not recommend many things, but this {item} I do.",
            "I could not recommend it more.",
            "I cannot praise this {item} too much.",
        ),
        "negative": (
            "I cannot recommend it.",
            "I cannot recommend this {item}.",
            "Cannot recommend the {item} to {people}.",
            "I would hesitate to recommend this {item}.",
            "I cannot say anything good about the {part}.",
            "Cannot praise the {part}, {it} {was} {pbad}.",
            "There is not a friend I would recommend it to.",
            "I recommend many things, but not this {item}.",
            "I could not recommend it less.",
            "Would not recommend.",
            "Not recommended, the {part} {is} {pbad}.",
        ),
    },
    "never": {
        "positive": (
            "Never {bad}, always {good}.",
            "It never gets {bad}.",
            "The {part} never felt {pbad}.",
            "I have never been disappointed by the {part}.",
            "Never a {flaw}, never a complaint.",
            "They never let me down.",
            "I have never seen such a {good} {item}.",
            "I have never had a better {item}.",
            "film book|I never wanted it to end.",
            "hotel food flight|We were never treated badly, not by anybody.",
            "phone app kitchen|It has never failed me.",
            "film book|I was never bored.",
            "Never had a {flaw} in all these months.",
        ),
        "negative": (
            "Never {good}, always {bad}.",
            "It never gets {good}.",
            "The {part} never felt {pgood}.",
            "I have never been impressed by the {part}.",
            "Never a {joy}, never a thank you.",
            "They never get it right.",
            "I have never seen such a {bad} {item}.",
            "I have never had a worse {item}.",
            "film book|I never cared how it ended.",
            "hotel food flight|We were never treated well, not by anybody.",
            "phone app kitchen|It has never worked for me.",
            "film|I never laughed.",
            "I will never {do} again.",
            "Never again!",
        ),
    },
    "hardly": {
        "positive": (
            "There was hardly a {flaw} to be found.",
            "It is hardly {dud}; I liked it a lot.",
            "I can hardly wait to {do} again.",
            "I hardly noticed a {flaw}.",
            "Hardly ever {bad}, nearly always {good}.",
            "It could hardly be more {lgood}.",
            "You will hardly find a more {lgood} {item}.",
            "I could hardly believe how {pgood} the {part} {was}.",
        ),
        "negative": (
            "There was hardly a {joy} to be found.",
            "It is hardly {prize}; I liked little about it.",
            "I could hardly wait for it to be over.",
            "It is hardly worth the money.",
            "Hardly ever {good}, nearly always {bad}.",
            "It could hardly be more {lbad}.",
            "You will hardly find a more {lbad} {item}.",
            "I could hardly believe how {pbad} the {part} {was}.",
            "Hardly {prize}.",
            "This {item} is hardly {good}.",
        ),
    },
    "could not": {
        "positive": (
            "It could not have been better.",
            "The {part} could not have been better.",
            "I could not be happier with this {item}.",
            "I could not have asked for a better {item}.",
            "We could not have chosen better.",
            "I could not wish for more.",
            "film|I could not look away.",
            "book|I could not put it down.",
            "hotel food flight|They could not have been more helpful.",
            "Could not be more pleased with the {part}.",
            "I could not stop smiling.",
        ),
        "negative": (
            "It could not have been worse.",
            "The {part} could not have been worse.",
            "I could not be more disappointed with this {item}.",
            "I could not have picked a worse {item}.",
            "We could not have chosen worse.",
            "film|I could not stop yawning.",
            "book|I could not finish it.",
            "hotel food flight|They could not have been less helpful.",
            "phone app kitchen|I could not get it to work properly.",
            "Could not be less pleased with the {part}.",
            "I could not stand the {part}.",
        ),
    },
    "regret": {
        "positive": (
            "I do not regret {doing}.",
            "You will not be sorry.",
            "You will not be disappointed.",
            "We were not disappointed by the {part}.",
            "I am not sorry that I {did}.",
            "My only regret is that I have not {done} sooner.",
            "I wish I had {done} sooner.",
            "I should have {done} years ago.",
            "I wish every {item} were this {good}.",
            "If only I had {done} earlier, it is {good}.",
        ),
        "negative": (
            "I deeply regret {doing}.",
            "You will be sorry.",
            "You will be disappointed.",
            "We were not satisfied with the {part}.",
            "I am sorry that I {did}.",
            "My only regret is that I have {done}.",
            "I wish I had not {done}.",
            "I should never have {done}.",
            "I wish the {part} {was} not so {pbad}.",
            "If only I had not {done}, it is {bad}.",
            "I would not {do} again if you paid me.",
        ),
    },
    "neither": {
        "positive": (
            "Neither {bad} nor {bad2}, simply {good}.",
            "It was neither {bad} nor {bad2}.",
            "The {part} {was} not {pbad} and the {part2} {was2} not {pbad2} either.",
            "Neither the {part} nor the {part2} let me down.",
            "I was neither annoyed nor disappointed, I loved it.",
        ),
        "negative": (
            "Neither {good} nor {good2}, simply {bad}.",
            "It was neither {good} nor {good2}.",
            "The {part} {was} not {pgood} and the {part2} {was2} not {pgood2} either.",
            "Neither the {part} nor the {part2} did anything for me.",
            "I was neither amused nor impressed, I hated it.",
        ),
    },
    "fail": {
        "positive": (
            "It lives up to the hype.",
            "The {part} did not disappoint.",
            "This {item} does not disappoint.",
            "It never fails to please.",
            "The {part} did not let us down.",
            "It does what it promises, and then some.",
            "It did not fail to impress me.",
            "You cannot go wrong with this {item}.",
        ),
        "negative": (
            "It fails to live up to the hype.",
            "The {part} did not impress.",
            "This {item} does not deliver.",
            "It fails to please.",
            "The {part} let us down.",
            "It does not do what it promises.",
            "It failed to impress me.",
            "It did not live up to its reputation.",
        ),
    },
    "too": {
        "positive": (
            "Too {good} to miss.",
            "book|Too {good} to put down.",
            "film book|I was too hooked to be bored.",
            "The {part} {was} almost too {pgood} to be true, and I loved it.",
            "{good} enough to {do} again next week.",
        ),
        "negative": (
            "Too {bad} to be worth anyone's time.",
            "film book|Too {bad} to finish.",
            "film book|I was too bored to care.",
            "It sounded too good to be true, and it was.",
            "The {part} {was} too {pbad} to enjoy.",
        ),
    },
    "not only": {
        "positive": (
            "Not only {good} but also {good2}.",
            "Not only {is} the {part} {pgood}, the {part2} {is2} {pgood2} as well.",
            "Not just {good}, {good2}!",
            "It is not merely {good}, it is the best {item} I know.",
        ),
        "negative": (
            "Not only {bad} but also {bad2}.",
            "Not only {is} the {part} {pbad}, the {part2} {is2} {pbad2} as well.",
            "Not just {bad}, {bad2}!",
            "It is not merely {bad}, it is the worst {item} I know.",
        ),
    },
    "cannot believe": {
        "positive": (
            "I cannot believe how {good} this {item} is.",
            "I cannot wait to {do} again.",
            "I did not know that a {item} could be this {good}.",
            "I cannot remember the last time I found such a {good} {item}.",
            "I cannot think of a more {lgood} {item}.",
            "Make no mistake, this is {prize}.",
            "I do not give praise lightly, but this is {good}.",
            "I do not know why it took me so long to {do}, it is {good}.",
        ),
        "negative": (
            "I cannot believe how {bad} this {item} is.",
            "I cannot see why anybody would {do} again.",
            "I did not know that a {item} could be this {bad}.",
            "I cannot remember the last time I found such a {bad} {item}.",
            "I cannot think of a more {lbad} {item}.",
            "Make no mistake, this is {dud}.",
            "I do not complain often, but this is {bad}.",
            "I do not know why I bothered to {do}, it is {bad}.",
        ),
    },
    "would have": {
        "positive": (
            "Could have been {bad}, was not.",
            "It might have been {dud}, but the {part} saved it. I liked it.",
            "It should have been {bad}, and yet I loved it.",
            "It had everything to be {bad}, but no, it was {good}.",
            "It would have been {bad} if the {part} had not been so {pgood}. I enjoyed it.",
        ),
        "negative": (
            "Could have been {good}, was not.",
            "It might have been {prize}, but the {part} ruined it.",
            "It should have been {good}, and yet I hated it.",
            "It had everything to be {good}, but no, it was {bad}.",
            "It would have been {good} if the {part} had not been so {pbad}.",
            "phone app kitchen|It would be {good} if it worked.",
        ),
    },
    "lack": {
        "positive": (
            "It lacks nothing.",
            "The {item} is free of everything that I usually hate.",
            "Everything a {item} needs is here.",
            "I missed nothing, the {part} {was} {pgood}.",
        ),
        "negative": (
            "It lacks everything.",
            "The {item} is missing everything that I usually like.",
            "Nothing that a {item} needs is here.",
            "It lacks everything that makes a {item} {good}.",
        ),
    },
    "others": {
        "positive": (
            "People complain that the {part} {is} {pbad}. I do not agree.",
            "{friend} called it {dud}, but I do not think so.",
            "Others found it {bad}. Not me.",
            "I do not agree that it is {bad}.",
            "I disagree with everybody who finds it {bad}.",
            "I do not understand why people hate this {item}.",
            "It is not as {bad} as people claim, I liked it.",
        ),
        "negative": (
            "People rave that the {part} {is} {pgood}. I do not agree.",
            "{friend} called it {prize}, but I do not think so.",
            "Others found it {good}. Not me.",
            "I do not agree that it is {good}.",
            "I disagree with everybody who finds it {good}.",
            "I do not understand why people like this {item}.",
            "It is not as {good} as people claim, I disliked it.",
            "I do not see what the fuss is about.",
        ),
    },
    "far from": {
        "positive": (
            "Far from {bad}.",
            "It is far from {bad}, it is {good}.",
            "The {part} {was} far from {pbad}.",
            "Far from {dud}, this is {prize}.",
        ),
        "negative": (
            "Far from {good}.",
            "It is far from {good}, it is {bad}.",
            "The {part} {was} far from {pgood}.",
            "Far from {prize}, this is {dud}.",
            "Far from perfect.",
        ),
    },
    "do not think": {
        "positive": (
            "I do not think it is {bad} {atall}.",
            "I did not find the {part} {pbad}.",
            "I do not believe that anyone could find this {item} {bad}.",
            "I do not hate it, I love it.",
            "I do not find it {bad}, I find it {good}.",
            "I did not mind the {part} {atall}, {it} {was} {pgood}.",
        ),
        "negative": (
            "I do not think it is {good} {atall}.",
            "I did not find the {part} {pgood}.",
            "I do not believe that anyone could find this {item} {good}.",
            "I do not love it. I do not even like it.",
            "I do not find it {good}, I find it {bad}.",
            "I did not enjoy the {part} {atall}, {it} {was} {pbad}.",
            "I did not enjoy this {item}.",
        ),
    },
    "comparison": {
        "positive": (
            "No other {item} comes close.",
            "There is not a better {item} around.",
            "It does not get better than this.",
            "You will not find a better {item}.",
            "Not nearly as {bad} as I had feared.",
            "The {part} {is} not as {pbad} as before, {it} {is} {pgood} now.",
            "Less {lbad} than ever, it keeps getting better.",
        ),
        "negative": (
            "Any other {item} is better.",
            "There is not a worse {item} around.",
            "It does not get worse than this.",
            "You will not find a worse {item}.",
            "Not nearly as {good} as I had hoped.",
            "The {part} {is} not as {pgood} as before, {it} {is} {pbad} now.",
            "Less {lgood} than ever, it keeps getting worse.",
        ),
    },
    "not one": {
        "positive": (
            "Not one {flaw}.",
            "Not a single {flaw} so far.",
            "Not a {flaw} in sight.",
            "Not one {flaw}, and the {part} {is} {pgood}.",
            "Not one of us was disappointed.",
        ),
        "negative": (
            "Not one {joy}.",
            "Not a single {joy} so far.",
            "Not a {joy} in sight.",
            "Not one {joy}, and the {part} {is} {pbad}.",
            "Not one of us was happy.",
        ),
    },
    "but": {
        "positive": (
            "I did not like the {part} at first, but I do now.",
            "The {part} {was} {pbad}, but that did not spoil it: I loved this {item}.",
            "The {part} {is} not {pgood}, but everything else is {good} and I would {do} again.",
            "I did not like it at first. Now I would not be without it.",
            "It is not perfect, but it is {good}.",
        ),
        "negative": (
            "I liked the {part} at first, but I do not now.",
            "The {part} {was} {pgood}, but that did not save it: I hated this {item}.",
            "The {part} {is} not {pbad}, but everything else is {bad} and I would not {do} again.",
            "I liked it at first. Now I cannot stand it.",
            "It is not the worst, but it is {bad}.",
        ),
    },
    "emoji alone": {
        "positive": (
            "{neutral} {smile}",
            "{neutral} {smile}{smile}",
            "{smile} {neutral}",
            "The {part}: {smile}",
            "This {item}: {smile}",
            "{neutral} The {part} {smile}",
            "{neutral} My verdict: {smile}",
        ),
        "negative": (
            "{neutral} {frown}",
            "{neutral} {frown}{frown}",
            "{frown} {neutral}",
            "The {part}: {frown}",
            "This {item}: {frown}",
            "{neutral} The {part} {frown}",
            "{neutral} My verdict: {frown}",
        ),
    },
}

TEST_TEMPLATES: Templates = {
    "anything but": {
        "positive": (
            "Anything but {bad}.",
            "The {part} {was} anything but {pbad}.",
            "This is anything but {dud}.",
            "This {item} turned out to be anything but {bad}.",
        ),
        "negative": (
            "Anything but {good}.",
            "The {part} {was} anything but {pgood}.",
            "This is anything but {prize}.",
            "This {item} turned out to be anything but {good}.",
        ),
    },
    "without": {
        "positive": (
            "Without a {flaw} from beginning to end.",
            "Months have passed without a {flaw}.",
            "Without doubt the most {lgood} {item} in ages.",
            "A {item} without weaknesses.",
        ),
        "negative": (
            "Without a {joy} from beginning to end.",
            "Months have passed without a {joy}.",
            "Without doubt the most {lbad} {item} in ages.",
            "A {item} without strengths.",
        ),
    },
    "not once": {
        "positive": (
            "Not once did the {part} get on my nerves.",
            "Not once did I long for something else.",
            "Not for one moment did it feel {bad}.",
            "At no point {was} the {part} {pbad}.",
        ),
        "negative": (
            "Not once did the {part} win me over.",
            "Not once did I feel glad about my choice.",
            "Not for one moment did it feel {good}.",
            "At no point {was} the {part} {pgood}.",
        ),
    },
    "it is not that": {
        "positive": (
            "It is not that the {part} {was} merely fine; everything else was {good} too.",
            "It is not for the {part} alone that I find this {item} so {good}.",
            "The {part}? Not what makes it {good}. That would be the {part2}.",
            "It is not just me, {friend2} adored it as well.",
        ),
        "negative": (
            "It is not that the {part} {was} so wrong; everything else was {bad} too.",
            "It is not for the {part} alone that I find this {item} so {bad}.",
            "The {part}? Not what makes it {bad}. That would be the {part2}.",
            "It is not just me, {friend2} loathed it as well.",
        ),
    },
    "no": {
        "positive": (
            "No complaints {atall}.",
            "No regrets.",
            "No {flaw}, no {flaw2}, no worries.",
            "No wonder that it is sold out: {good}.",
            "Zero issues with the {part}.",
            "There is no such thing as a {bad} hour with this {item}.",
        ),
        "negative": (
            "No charm, no care, no value.",
            "No thanks.",
            "No {joy}, no {joy2}, no point.",
            "No wonder that it is half price: {bad}.",
            "Zero effort went into the {part}.",
            "There is no such thing as a {good} hour with this {item}.",
        ),
    },
    "hard to": {
        "positive": (
            "It is hard to fault the {part}.",
            "I searched for weak points and came up empty.",
            "Weak points? I struggle to name any.",
            "Hard to imagine how the {part} could be improved.",
            "Impossible to dislike.",
        ),
        "negative": (
            "It is hard to defend the {part}.",
            "I searched for strong points and came up empty.",
            "Strong points? I struggle to name any.",
            "Hard to imagine how the {part} could sink any lower.",
            "Impossible to like.",
        ),
    },
    "by no means": {
        "positive": (
            "By no means {bad}.",
            "The {part} {is} in no way {pbad}.",
            "This is by no means {dud}.",
            "Nobody in their right mind could call it {bad}.",
        ),
        "negative": (
            "By no means {good}.",
            "The {part} {is} in no way {pgood}.",
            "This is by no means {prize}.",
            "Nobody in their right mind could call it {good}.",
        ),
    },
    "rather than": {
        "positive": (
            "The {part} came across as {pgood} rather than {pbad}.",
            "{good} instead of {bad}, what a relief.",
            "Instead of {dud} we were handed {prize}.",
        ),
        "negative": (
            "The {part} came across as {pbad} rather than {pgood}.",
            "{bad} instead of {good}, what a pity.",
            "Instead of {prize} we were handed {dud}.",
        ),
    },
    "opposite": {
        "positive": (
            "{friend} described it as {bad}. It is the exact opposite.",
            "The {part} {was} the opposite of {pbad}.",
            "Is it {bad}? Quite the contrary.",
        ),
        "negative": (
            "{friend} described it as {good}. It is the exact opposite.",
            "The {part} {was} the opposite of {pgood}.",
            "Is it {good}? Quite the contrary.",
        ),
    },
    "think again": {
        "positive": (
            "The one-star reviews have it all wrong.",
            "If you suspect that this {item} is {bad}, think again.",
            "Do not listen to the haters.",
            "{friend} predicted {dud}. How mistaken one can be.",
        ),
        "negative": (
            "The five-star reviews have it all wrong.",
            "If you suspect that this {item} is {good}, think again.",
            "Do not listen to the fans.",
            "{friend} predicted {prize}. How mistaken one can be.",
        ),
    },
    "doubts": {
        "positive": (
            "My doubts about the {part} vanished within minutes.",
            "I came as a sceptic and left as a fan.",
            "Any fear of {dud} was unfounded.",
        ),
        "negative": (
            "My hopes for the {part} vanished within minutes.",
            "I came as a fan and left as a sceptic.",
            "Any hope of {prize} was unfounded.",
        ),
    },
    "no longer": {
        "positive": (
            "It used to be {bad}. Those days are over.",
            "The {part} {is} no longer {pbad}.",
            "Gone are the days when the {part} {was} {pbad}.",
        ),
        "negative": (
            "It used to be {good}. Those days are over.",
            "The {part} {is} no longer {pgood}.",
            "Gone are the days when the {part} {was} {pgood}.",
        ),
    },
    "pretend": {
        "positive": (
            "I cannot pretend that I did not adore it.",
            "I would be lying if I claimed not to have adored the {part}.",
            "Few things here failed to charm me.",
            "Who could not love the {part}?",
        ),
        "negative": (
            "I cannot pretend that I adored it.",
            "I would be lying if I claimed to have adored the {part}.",
            "Few things here managed to charm me.",
            "Who could love the {part}?",
        ),
    },
    "last time": {
        "positive": (
            "That will not be the last time we {do}.",
            "Our first time, and not our last.",
        ),
        "negative": (
            "That will be the last time we {do}.",
            "Our first time, and surely our last.",
        ),
    },
    "question": {
        "positive": (
            "What is there not to like?",
            "Could it be any better? I doubt it.",
            "Why would {people} not want this {item}?",
        ),
        "negative": (
            "What is there to like?",
            "Could it be any worse? I doubt it.",
            "Why would {people} want this {item}?",
        ),
    },
    "barely": {
        "positive": (
            "Barely a {flaw} in all that time.",
            "Rarely have I come across such a {good} {item}.",
            "Seldom {bad}, mostly {good}.",
        ),
        "negative": (
            "Barely a {joy} in all that time.",
            "Rarely have I come across such a {bad} {item}.",
            "Seldom {good}, mostly {bad}.",
        ),
    },
    "do not let": {
        "positive": (
            "Do not be put off by the {part}, the rest is {good}.",
            "Do not let the low rating scare you away.",
        ),
        "negative": (
            "Do not be fooled by the {part}, the rest is {bad}.",
            "Do not let the high rating lure you in.",
        ),
    },
    "nothing short of": {
        "positive": (
            "Nothing short of {good}.",
            "The {part} {was} nothing less than {pgood}.",
        ),
        "negative": (
            "Nothing short of {bad}.",
            "The {part} {was} nothing less than {pbad}.",
        ),
    },
    "many things": {
        "positive": (
            "It is many things, but {bad} is not among them.",
            "Call it what you like, just not {bad}.",
        ),
        "negative": (
            "It is many things, but {good} is not among them.",
            "Call it what you like, just not {good}.",
        ),
    },
    "trade": {
        "positive": (
            "I would not trade it for anything.",
            "I would hate to be parted from this {item}.",
        ),
        "negative": (
            "I would trade it for almost anything.",
            "I would not wish this {item} on my worst enemy.",
        ),
    },
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


_FEWEST = 4
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


def made(templates: Templates, words: Words, style: Style, count: int, chance: random.Random) -> list[Row]:
    """Make texts, half of them of each label, no two of them equal; those of a template are neighbours."""
    seen: set[str] = set()
    found: list[tuple[int, int, Row]] = []
    constructions = list(templates)
    for label, number in LABELS.items():
        forms = [(name, place, form) for name in templates for place, form in enumerate(templates[name][label])]
        left = [_FEWEST if "{" not in form else count for *_, form in forms]
        wanted = count // 2
        while wanted:
            turn = [one for one, most in enumerate(left) if most][:wanted]
            for one in turn:
                name, place, form = forms[one]
                text = _unseen(form, label, words, style, seen, chance)
                left[one] = left[one] - 1 if text else 0
                if text:
                    found.append((constructions.index(name), place, Row(text, number, name)))
                    wanted -= 1
    return [row for _, _, row in sorted(found, key=lambda one: one[:2])]


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
    style = Style(emoji=0.12)
    return made(TRAIN_TEMPLATES, Words(TRAIN_THINGS, TRAIN_WORDS), style, TRAIN_ROWS, random.Random("train"))


def test_rows() -> list[Row]:
    return made(TEST_TEMPLATES, Words(TEST_THINGS, TEST_WORDS), Style(), TEST_ROWS, random.Random("test"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(), help="folder of the two files")
    folder = parser.parse_args().folder
    for split, rows in (("train", training_rows()), ("test", test_rows())):
        with open(folder / f"negation-{split}.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("text", "label", "domain", "construction"))
            writer.writerows((row.text, row.label, "negation", row.construction) for row in rows)


if __name__ == "__main__":
    main()
