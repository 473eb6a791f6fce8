"""Personas: a readable label and a short narrative per cluster, from its traits. The figures come from `traits.py`, the vocabulary from `words.py`."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa

from seg_assets.clustering.traits import ClusterTraits, NumberTrait, WordTrait, cluster_traits
from seg_assets.clustering.words import CHANNELS, FEATURES, RFM_ADJECTIVES, UNTOLD, FeatureWords, amount, plain, titled
from seg_assets.schema.tables import PERSONAS
from seg_assets.scoring.engagement import LURKER

MARKED = 0.33
"""Effect from which on a trait enters the label (a medium effect: Romano et al. 2006, thresholds of Cliff's delta)."""
NOTABLE = 0.147
"""Effect from which on a trait enters the narrative, or tells alike labels apart (a small effect, same source)."""
FIGURES = 3
"""Most numbers in a narrative."""


def personas(people: pa.Table, *, currency: str = "") -> pa.Table:
    """Describes every cluster by what sets it apart from everyone.

    Args:
        people: cluster_id and what is known of each clustered person: columns of profiles/features, scores/engagement, scores/rfm and, if wanted,
            profiles/profiles. All of them are optional; scales and words alike are compared with everyone's.
        currency: ISO 4217 code of amounts.

    Returns:
        clusters/personas, by cluster_id. Labels are unique. Traits: {"features": {name: {median, overall, positive, overall_positive, effect}},
        "words": {name: {word, share, overall}}}, where `effect` is Cliff's delta and `word` the most frequent one.
    """
    found = cluster_traits(people)
    labels = _unique(found)
    rows = [
        {
            "cluster_id": traits.cluster_id,
            "persona": f"persona_{traits.cluster_id}",
            "label": label,
            "narrative": _narrative(traits, currency),
            "size": traits.size,
            "share": traits.share,
            "preferred_channel": channel.word if (channel := traits.most_frequent("top_channel")) else None,
            "traits": _json(traits),
        }
        for traits, label in zip(found, labels, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=PERSONAS.schema.to_pyarrow())


def _unique(found: Sequence[ClusterTraits]) -> list[str]:
    """One label per cluster. Those alike are told apart by what only one of them has; one without such a thing stays as it is, more get their number."""
    if len(found) == 1:
        return ["Everyone"]
    labels = [_label(traits) for traits in found]
    for label in sorted({label for label in labels if labels.count(label) > 1}):
        alike = [i for i, other in enumerate(labels) if other == label]
        phrases = {i: _qualifiers(found[i]) for i in alike}
        for i in alike:
            others = {phrase for j in alike if j != i for phrase in phrases[j]}
            own = next((phrase for phrase in phrases[i] if phrase not in others), "")
            taken = label in (labels[j] for j in alike if j < i)
            labels[i] = f"{label} {own or f'(no. {found[i].cluster_id})'}" if own or taken else label
    return labels


def _label(traits: ClusterTraits) -> str:
    """`<adjective> <channel> <noun> of <category>`."""
    noun, of = _noun(traits)
    channel, category = traits.most_typical("top_channel"), traits.most_typical("top_category")
    adjective = _adjective(traits, buyers=noun == "buyers")
    through = CHANNELS.get(channel.word, (plain(channel.word), ""))[0] if channel else ""
    about = f"{of} {titled(category.word)}" if category else ""
    if not (adjective or through or about):
        adjective = "Typical"
    return _capitalised(" ".join(part for part in (adjective, through, noun, about) if part))


def _qualifiers(traits: ClusterTraits) -> list[str]:
    phrases = [words.with_high if trait.effect > 0 else words.with_low for words, trait in _ranked(traits) if abs(trait.effect) >= NOTABLE]
    return [phrase for phrase in phrases if phrase]


def _noun(traits: ClusterTraits) -> tuple[str, str]:
    """What they are, and the preposition to a category."""
    orders = next((traits.numbers[n] for n in ("orders_365d", "orders_total", "orders_90d", "orders_30d") if n in traits.numbers), None)
    if orders is None:
        return "people", "interested in"
    if orders.positive >= 0.5:
        return "buyers", "of"
    channel = traits.most_frequent("top_channel")
    return ("readers" if channel and channel.word == "email" and channel.share >= 0.5 else "visitors"), "interested in"


def _adjective(traits: ClusterTraits, *, buyers: bool) -> str:
    """The adjective that fits best; "" where nothing is marked."""
    if buyers and (groups := _rfm_groups(traits)):
        return max(groups, key=lambda g: (groups[g], g))
    marked = [words.high if trait.effect > 0 else words.low for words, trait in _ranked(traits) if abs(trait.effect) >= MARKED]
    return next((adjective for adjective in marked if adjective), "")


def _rfm_groups(traits: ClusterTraits) -> dict[str, float]:
    """Adjectives that fit most of the buyers, or many and clearly more than everyone's, with the share they fit."""
    share, lift = defaultdict[str, float](float), defaultdict[str, float](float)
    for word in traits.words.get("rfm_segment", ()):
        if adjective := RFM_ADJECTIVES.get(word.word):
            share[adjective] += word.share
            lift[adjective] += word.lift
    return {adjective: part for adjective, part in share.items() if part >= 0.6 or (part >= 0.4 and lift[adjective] >= 0.1)}


def _ranked(traits: ClusterTraits, *, figures: bool = False) -> list[tuple[FeatureWords, NumberTrait]]:
    """The most unusual feature of each family known of most of the cluster, most unusual first.

    Args:
        figures: consider features a figure can be told of, instead of those with an adjective or phrase.
    """
    best: dict[str, tuple[FeatureWords, NumberTrait]] = {}
    for name in sorted(traits.numbers, key=lambda name: (-round(abs(traits.numbers[name].effect), 6), name)):
        trait = traits.numbers[name]
        words = FEATURES.get(name) or FeatureWords(
            name, f"{{}} {plain(name)}", with_high=f"with high {plain(name)}", with_low=f"with low {plain(name)}"
        )
        telling = words.figure if figures else words.high or words.with_high
        if telling and trait.known >= 0.5 and name not in UNTOLD:
            best.setdefault(words.family, (words, trait))
    return list(best.values())


def _narrative(traits: ClusterTraits, currency: str) -> str:
    sentences = [f"{traits.size:,} people, {_percent(traits.share)} of all", _figures(traits, currency), _habits(traits)]
    return " ".join(f"{_capitalised(sentence)}." for sentence in sentences if sentence)


def _figures(traits: ClusterTraits, currency: str) -> str:
    """The most unusual numbers, as typical figures or, where the typical person is like everyone, as shares."""
    typical, happens = [], []
    for words, trait in _ranked(traits, figures=True):
        value, overall = (_value(words, number, currency) for number in (trait.median, trait.overall))
        if abs(trait.effect) < NOTABLE or len(typical) + len(happens) == FIGURES:
            break
        if value != overall:
            typical.append(f"{_counted(words.figure, value)} (everyone: {overall})")
        elif words.happens and _percent(trait.positive) != _percent(trait.overall_positive):
            happens.append(f"{_percent(trait.positive)} {words.happens} (everyone: {_percent(trait.overall_positive)})")
    return "; ".join(part for part in (f"typically {_listed(typical)}" if typical else "", _listed(happens)) if part)


def _habits(traits: ClusterTraits) -> str:
    """Channel, category and standing of most of them."""
    says: list[tuple[WordTrait, str]] = []
    if channel := _telling(traits, "top_channel"):
        says.append((channel, f"use {CHANNELS.get(channel.word, ('', plain(channel.word)))[1]} most"))
    if category := _telling(traits, "top_category"):
        says.append((category, f"look most at {titled(category.word)}"))
    buyers = _noun(traits)[0] == "buyers"
    if buyers and (standing := _telling(traits, "rfm_segment")):
        says.append((standing, f"of the buyers are in the RFM segment {standing.word}"))
    elif standing := _telling(traits, "engagement_label"):
        says.append((standing, f"are {standing.word}{'s' if standing.word == LURKER else ''}"))
    return _listed([f"{_percent(word.share)} {text} (everyone: {_percent(word.overall)})" for word, text in says])


def _telling(traits: ClusterTraits, name: str) -> WordTrait | None:
    """The most typical word, or else the one most of them have."""
    frequent = traits.most_frequent(name)
    return traits.most_typical(name) or (frequent if frequent and frequent.share >= 0.5 else None)


def _value(words: FeatureWords, number: float, currency: str) -> str:
    if words.kind == "share":
        return _percent(number)
    return f"{currency} {amount(number)}".strip() if words.kind == "money" else amount(number)


def _counted(figure: str, value: str) -> str:
    """The figure with its value, and of each `singular|plural` the one that fits."""
    return re.sub(r"(\S+)\|(\S+)", r"\1" if value == "1" else r"\2", figure).format(value)


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _percent(share: float) -> str:
    percent = f"{share:.0%}"
    return {"0%": "under 1%", "100%": "nearly all"}.get(percent, percent) if 0 < share < 1 else percent


def _listed(parts: Sequence[str]) -> str:
    """Parts as a list in a sentence."""
    return " and ".join(part for part in (", ".join(parts[:-1]), *parts[-1:]) if part)


def _json(traits: ClusterTraits) -> str:
    features = {name: {key: round(value, 6) for key, value in asdict(trait).items()} for name, trait in traits.numbers.items()}
    words = {name: {"word": top.word, "share": round(top.share, 6), "overall": round(top.overall, 6)} for name, (top, *_) in traits.words.items()}
    return json.dumps({"features": features, "words": words}, sort_keys=True)
