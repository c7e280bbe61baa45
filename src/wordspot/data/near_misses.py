from dataclasses import dataclass


@dataclass(frozen=True)
class NearMiss:
    text: str


def near_misses(phrase, *, n=60, language="en", excluded=()):
    texts = [
        "athens",
        "anthem",
        "a theme",
        "serena",
        "arena",
        "athlete",
        "a tina",
        "attena",
        "antenna",
        "a thing",
        "ethan",
        "china",
        "marina",
        "regina",
        "alina",
        "asina",
        "afina",
        "katrina",
        "hyena",
        "zenith",
        "asthma",
        "either",
        "a dinner",
        "the nerd",
        "a teen",
        "athen",
        "thena",
        "a thinner",
        "angelina",
        "a thousand",
        "farina",
        "adena",
        "a scene",
        "a fever",
        "algebra",
        "alexa",
        "computer",
        "hey google",
        "okay nabu",
        "hello",
        "thank you",
        "anything",
        "another",
        "a theory",
        "at the end",
        "a seed",
        "seen a",
        "been a",
        "fina",
        "tina",
    ]
    return tuple(NearMiss(t) for t in texts[:n])
