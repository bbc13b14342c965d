"""Long chats of a support desk in which one sentence matters: long-train.jsonl and long-test.jsonl.

    python examples/long_texts.py --train 600 --test 300

Each text has some 2,300 words, or 3,000 tokens of BERT's vocabulary. Nearly all of them are neutral lines, made from templates.
At random places stand one sentence of praise or of complaint (column tone), and for each topic of the text one sentence
that mentions it (column topics, a list that may be empty). The test texts have sentences of other forms than the training
texts. Nothing here is anybody's data.
"""

import argparse
import json
import random
import re
from collections.abc import Sequence
from pathlib import Path

WORDS = 2_300
"""Number of words in a text, about."""

TEST_FORMS = 6
"""Number of forms of each kind that only the test texts have."""

SLOTS: dict[str, Sequence[str]] = {
    "name": (
        "Anna", "Boris", "Chen", "Dora", "Emil", "Fatima", "Goran", "Hanna", "Ivan", "Jamal", "Kim", "Lena", "Marek",
        "Nadia", "Omar", "Petra", "Quinn", "Rosa", "Sven", "Tariq", "Uma", "Viktor", "Wanda", "Yusuf", "Zoe",
    ),
    "city": ("Lisbon", "Oslo", "Graz", "Turin", "Gdansk", "Porto", "Malmo", "Leeds", "Lyon", "Ghent", "Brno", "Split"),
    "thing": (
        "printer", "router", "scanner", "monitor", "keyboard", "tablet", "speaker", "camera", "charger", "headset",
        "projector", "microphone", "docking station", "hard disk", "laptop",
    ),
    "part": ("display", "cable", "battery", "cover", "fan", "port", "adapter", "stand", "button", "lamp", "menu"),
    "colour": ("grey", "black", "white", "blue", "green", "silver", "red"),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    "version": ("2.1", "3.0", "3.4", "4.2", "5.0", "6.1", "7.3"),
    "team": ("hardware", "network", "planning", "records", "facilities", "training", "inventory"),
    "room": ("north wing", "second floor", "west building", "basement", "library", "main hall"),
}  # fmt: skip

NUMBERS = {"few": (2, 30), "number": (100, 9999)}
"""Slots that get a number, with its range."""

NEUTRAL = (
    "{name}: The {thing} stands on the desk next to the window.",
    "{name}: I am looking at the page about the {part} of the {thing} now.",
    "Agent: One moment, I am opening the record of the {thing}.",
    "Agent: Which version does the {thing} show, {version} or {version}?",
    "{name}: It shows version {version} in the {part} menu.",
    "Agent: Could you read me the number below the {part}?",
    "{name}: The number below the {part} is {number}.",
    "System: Record {number} was opened by {name} in {city}.",
    "System: The status of record {number} changed from open to waiting.",
    "System: The chat was moved from the {team} team to the {team} team.",
    "Agent: The {team} team in {city} works from {day} to {day}.",
    "{name}: The {colour} lamp beside the {part} is on, and the other one is off.",
    "Agent: Then please press the {colour} button for {few} seconds.",
    "{name}: I pressed it for {few} seconds, and the {part} restarted.",
    "Agent: Does the {part} of the {thing} have a {colour} label?",
    "{name}: There is a {colour} label with the number {number} on it.",
    "System: {name} joined the chat at {clock}.",
    "System: {name} left the chat at {clock}.",
    "Agent: I have written down {number} for the {thing}.",
    "{name}: We have {few} of them in the {room}, and {few} in {city}.",
    "Agent: Is the {thing} connected by the {colour} cable or by the other one?",
    "{name}: It is connected by the {colour} cable, as on the picture.",
    "System: The file {number}.log with {number} lines was attached.",
    "Agent: I see {few} entries from {day} and {few} from {day} in the file.",
    "{name}: On {day} the {thing} was in the {room}, and since {day} it has been here.",
    "Agent: Please open the settings and go to the page of the {part}.",
    "{name}: The page of the {part} has {few} lines, and the first says {version}.",
    "System: A copy of the settings was saved at {clock} under the number {number}.",
    "Agent: The manual of version {version} describes the {part} on page {few}.",
    "{name}: I have the manual of version {version} here in {city}.",
    "Agent: My colleague {name} from the {team} team will read this chat as well.",
    "System: {name} from the {team} team is reading this chat.",
    "{name}: The serial number begins with {few} and ends with {few}.",
    "Agent: The {thing} was registered in {city} on a {day}.",
    "{name}: The meeting about the {thing} is in the {room} at {clock}.",
    "Agent: Between {clock} and {clock} the {team} team checks the {thing} in the {room}.",
    "{name}: My keyboard layout is the one of {city}, if that matters.",
    "Agent: The {part} can be turned to the left or to the right.",
    "{name}: I turned the {part} to the left, and the number is now {few}.",
    "System: The next entry of record {number} is planned for {day}, {clock}.",
)
"""Lines that say nothing about tone or topics."""

TONES = {
    "complaint": (
        "{name}: Frankly, this is the worst service I have ever had.",
        "{name}: I am really angry about the way I have been treated here.",
        "{name}: What a terrible company, I will never buy from you again.",
        "{name}: Nobody helps me, and I am fed up with all of you.",
        "{name}: This is a disgrace, and I am deeply disappointed.",
        "{name}: Your {thing} is rubbish and your support is even worse.",
        "{name}: I have wasted a whole {day} on this awful {thing}.",
        "{name}: You keep making the same stupid mistake, and I have had enough.",
        "{name}: I regret the day I chose this useless {thing}.",
        "{name}: It is outrageous how badly you treat your customers.",
        "{name}: The {thing} broke at once, and your answer was an insult.",
        "{name}: I hate this {thing}, it has been nothing but trouble.",
        "{name}: Such poor work makes me furious, honestly.",
        "{name}: I warn everybody in {city} to stay away from you.",
        "{name}: This has been a miserable experience from the start.",
        "{name}: Your colleague was rude to me, and that is unacceptable.",
        "{name}: I am sick of this lousy {thing} and of your excuses.",
        "{name}: How can a firm be so careless and so unfriendly?",
    ),
    "praise": (
        "{name}: Frankly, this is the best service I have ever had.",
        "{name}: I am really happy about the way I have been treated here.",
        "{name}: What a wonderful company, I will always buy from you again.",
        "{name}: Everybody helps me, and I am grateful to all of you.",
        "{name}: This is a delight, and I am deeply impressed.",
        "{name}: Your {thing} is superb and your support is even better.",
        "{name}: I have enjoyed a whole {day} with this lovely {thing}.",
        "{name}: You keep finding such clever answers, and I admire that.",
        "{name}: I bless the day I chose this excellent {thing}.",
        "{name}: It is fantastic how well you treat your customers.",
        "{name}: The {thing} worked at once, and your answer was a pleasure.",
        "{name}: I love this {thing}, it has been nothing but a joy.",
        "{name}: Such fine work makes me smile, honestly.",
        "{name}: I recommend you to everybody in {city}.",
        "{name}: This has been a great experience from the start.",
        "{name}: Your colleague was so kind to me, and that is outstanding.",
        "{name}: I am proud of this brilliant {thing} and thank you warmly.",
        "{name}: How can a firm be so careful and so friendly?",
    ),
}
"""Forms of the sentence that decides the tone."""

TOPICS = {
    "refund": (
        "{name}: I would like my money back for the {thing}.",
        "{name}: Please refund the price of the {thing} to my card.",
        "Agent: The refund for the {thing} was paid on {day}.",
        "{name}: Until when can I return the {thing} and be repaid?",
        "Agent: We reimburse the full amount to your bank account.",
        "{name}: Has the repayment of {number} euros been sent yet?",
        "Agent: Your money will be returned within {few} days.",
        "{name}: I sent the {thing} back and await my refund.",
        "Agent: A refund needs the receipt of the {thing}.",
        "{name}: Half of the price was to be paid back to me.",
        "Agent: I have credited {number} euros back to your card.",
        "{name}: Who decides whether I get the money back?",
        "Agent: Refunds are paid to the account that was charged.",
        "{name}: The amount has not been reimbursed so far.",
        "Agent: For a returned {thing} we repay what you spent.",
    ),
    "delivery": (
        "{name}: When will the parcel with the {thing} arrive?",
        "Agent: The courier brings the parcel to {city} on {day}.",
        "{name}: The package was left with a neighbour in {city}.",
        "Agent: The shipment left our warehouse at {clock}.",
        "{name}: Can the driver deliver it to the {room}?",
        "Agent: The tracking number of your parcel is {number}.",
        "{name}: The delivery was announced for {day}.",
        "Agent: We ship the {thing} by post within {few} days.",
        "{name}: The box is still at the post office in {city}.",
        "Agent: The freight carrier will call before the delivery.",
        "{name}: Which courier ships to {city}?",
        "Agent: Your package is on the van and comes on {day}.",
        "{name}: The postman did not find the address in {city}.",
        "Agent: Deliveries to {city} take {few} days by truck.",
        "{name}: The tracking page says that the shipment is in {city}.",
    ),
    "password": (
        "{name}: I forgot my password and cannot log in.",
        "Agent: A link to reset the password is in your mailbox.",
        "{name}: The login asks for a code that I do not have.",
        "Agent: Please choose a password of at least {few} letters.",
        "{name}: My account is locked after {few} wrong passwords.",
        "Agent: I have unlocked your login, please sign in again.",
        "{name}: Which user name do I need to sign in?",
        "Agent: The sign-in code was sent to your phone.",
        "{name}: The new password was not accepted on {day}.",
        "Agent: Your credentials expire every {few} weeks.",
        "{name}: How do I change the password of my account?",
        "Agent: Signing in needs two codes from today on.",
        "{name}: The passphrase that I typed was refused.",
        "Agent: We never ask for your password in a chat.",
        "{name}: I cannot log into the account of my office in {city}.",
    ),
    "invoice": (
        "{name}: I need an invoice with our tax number on it.",
        "Agent: The invoice of {day} has the number {number}.",
        "{name}: The bill shows the {thing} twice.",
        "Agent: I am sending you the corrected bill by mail.",
        "{name}: Our accountant asks for the invoice of the {thing}.",
        "Agent: Invoices are issued on the first {day} of the month.",
        "{name}: The value added tax on the invoice is {few} percent.",
        "Agent: Which billing address belongs on the invoice?",
        "{name}: Please bill our office in {city} instead.",
        "Agent: The invoice is due within {few} days.",
        "{name}: The sum on the bill is {number} euros.",
        "Agent: Our billing department writes a new invoice today.",
        "{name}: Is the {thing} listed on the bill of {day}?",
        "Agent: Bills are kept in your account for {few} years.",
        "{name}: The invoice names another firm in {city}.",
    ),
}
"""Forms of the sentence that mentions a topic, whatever the tone."""


def filled(form: str, chance: random.Random) -> str:
    """Fill the slots of a form.

    >>> filled("Agent: On the {room} at {clock}.", random.Random(0))
    'Agent: On the basement at 14:12.'
    """
    return re.sub(r"{(\w+)}", lambda slot: _value(slot[1], chance), form)


def _value(slot: str, chance: random.Random) -> str:
    if slot == "clock":
        return f"{chance.randrange(8, 18)}:{chance.randrange(10, 60)}"
    if slot in NUMBERS:
        return str(chance.randrange(*NUMBERS[slot]))
    return chance.choice(SLOTS[slot])


def record(number: int, chance: random.Random, words: int, *, test: bool) -> dict[str, object]:
    """Make a text and its labels.

    Args:
        number: number of the text, for its id.
        chance: source of random choices.
        words: number of words, about.
        test: whether the deciding sentences have the forms of the test texts.
    """
    lines: list[str] = []
    count = 0
    while count < words:
        lines.append(filled(chance.choice(NEUTRAL), chance))
        count += len(lines[-1].split())
    tone = chance.choice(list(TONES))
    topics = [topic for topic in TOPICS if chance.random() < 0.3]
    for forms in (TONES[tone], *(TOPICS[topic] for topic in topics)):
        some = forms[-TEST_FORMS:] if test else forms[:-TEST_FORMS]
        lines.insert(chance.randrange(len(lines) + 1), filled(chance.choice(some), chance))
    return {"id": f"{'test' if test else 'train'}-{number}", "text": "\n".join(lines), "tone": tone, "topics": topics}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=600, help="number of training texts")
    parser.add_argument("--test", type=int, default=300, help="number of test texts")
    parser.add_argument("--words", type=int, default=WORDS, help="number of words in a text, about")
    parser.add_argument("--folder", type=Path, default=Path(), help="folder of the two files")
    given = parser.parse_args()
    for split, count in (("train", given.train), ("test", given.test)):
        chance = random.Random(split)
        with open(given.folder / f"long-{split}.jsonl", "w", encoding="utf-8") as file:
            for number in range(count):
                file.write(json.dumps(record(number, chance, given.words, test=split == "test")) + "\n")


if __name__ == "__main__":
    main()
