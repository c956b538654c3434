"""Reviews in many languages, made of a thing, what is said of it, and an end; mails whose end is what counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np


@dataclass(frozen=True)
class Language:
    """What its reviews are made of.

    Attributes:
        between: Between a thing and what is said of it.
    """

    things: Sequence[str]
    good: Sequence[str]
    bad: Sequence[str]
    ends: Sequence[str]
    between: str = ""

    def reviews(self) -> Mapping[str, str]:
        """Text -> good or bad."""
        said = [*((one, "good") for one in self.good), *((one, "bad") for one in self.bad)]
        parts = product(self.things, said, self.ends)
        return {f"{thing}{self.between}{words}{end}": label for thing, (words, label), end in parts}


LANGUAGES: Mapping[str, Language] = {
    "English": Language(
        ("the food", "the service", "the staff", "the product", "the hotel", "the room"),
        ("is great", "is tasty", "is clean", "is worth it", "impressed me"),
        ("is awful", "is dirty", "is slow", "is overpriced", "let me down"),
        ("", " today", " again", " really"),
        " ",
    ),
    "Thai": Language(
        ("อาหาร", "บริการ", "พนักงาน", "สินค้า", "โรงแรม", "ห้องพัก"),
        ("ดีมาก", "อร่อย", "สะอาด", "คุ้มค่า", "ประทับใจ"),
        ("แย่มาก", "สกปรก", "ช้ามาก", "แพงเกินไป", "ผิดหวัง"),
        ("", "ครับ", "ค่ะ", "เลย", "จริงๆ"),
    ),
    "Khmer": Language(
        ("ម្ហូប", "សេវាកម្ម", "សណ្ឋាគារ", "បុគ្គលិក", "ផលិតផល", "បន្ទប់"),
        ("ល្អណាស់", "ស្អាត", "សមរម្យ", "ឆ្ងាញ់"),
        ("អន់ណាស់", "កខ្វក់", "យឺត", "ថ្លៃពេក"),
        ("", "បាទ", "ចាស"),
    ),
    "Amharic": Language(
        ("አገልግሎቱ", "ሠራተኛው", "ዕቃው", "ምግቡ", "ሆቴሉ"),
        ("ጥሩ", "ንጹህ", "ጣፋጭ", "ተመጣጣኝ"),
        ("መጥፎ", "ቆሻሻ", "ውድ", "ዘገምተኛ"),
        (" ነው", " ነው በጣም", " ነው ዛሬ"),
    ),
    "Hebrew": Language(
        ("האוכל", "החדר", "המוצר", "המלון", "הצוות", "השירות"),
        ("מצוין", "נקי", "טעים", "משתלם"),
        ("גרוע", "מלוכלך", "איטי", "יקר מדי"),
        ("", " היום", " מאוד"),
        " ",
    ),
    "Hindi": Language(
        ("कमरा", "कर्मचारी", "खाना", "सामान", "सेवा", "होटल"),
        ("अच्छा", "साफ", "स्वादिष्ट", "सस्ता"),
        ("खराब", "गंदा", "धीमा", "महंगा"),
        (" है", " है आज", " है बहुत"),
        " ",
    ),
    "Lao": Language(
        ("ອາຫານ", "ບໍລິການ", "ພະນັກງານ", "ສິນຄ້າ", "ໂຮງແຮມ", "ຫ້ອງພັກ"),
        ("ດີຫຼາຍ", "ແຊບ", "ສະອາດ", "ຄຸ້ມຄ່າ"),
        ("ບໍ່ດີ", "ເປື້ອນ", "ຊ້າຫຼາຍ", "ແພງເກີນໄປ"),
        ("", "ແທ້", "ເລີຍ"),
    ),
    "Burmese": Language(
        ("အစားအစာ", "ဝန်ဆောင်မှု", "ဝန်ထမ်း", "ပစ္စည်း", "ဟိုတယ်", "အခန်း"),
        ("ကောင်းတယ်", "သန့်ရှင်းတယ်", "အရသာရှိတယ်", "တန်တယ်"),
        ("ဆိုးတယ်", "ညစ်ပတ်တယ်", "နှေးတယ်", "ဈေးကြီးတယ်"),
        ("", "ဗျာ", "ရှင်"),
    ),
    "Georgian": Language(
        ("საჭმელი", "სერვისი", "სასტუმრო", "ოთახი", "პერსონალი", "საქონელი"),
        ("კარგია", "სუფთაა", "გემრიელია", "იაფია"),
        ("ცუდია", "ბინძურია", "ნელია", "ძვირია"),
        ("", " დღეს", " ძალიან"),
        " ",
    ),
}
"""Those of the field's case, and three relatives: two that are written without spaces, one with."""

NOISE = (
    "ladder",
    "village",
    "bridge",
    "river",
    "orchard",
    "harbour",
    "morning",
    "silver",
    "carpet",
    "mirror",
    "engine",
    "island",
    "market",
    "window",
    "paper",
    "summer",
    "office",
    "evening",
    "pencil",
    "thunder",
    "needle",
    "copper",
    "saddle",
    "picture",
    "feather",
    "blanket",
    "bottle",
    "button",
    "letter",
    "garden",
)
CANCEL = (
    "I want to cancel my contract",
    "please end my subscription",
    "stop my membership now",
    "I wish to terminate the agreement",
)
ORDER = (
    "I want to order another licence",
    "please add two more seats",
    "I wish to buy an upgrade",
    "send me an offer for more units",
)


def mails(words: int, count: int, before: float = 1.0) -> Mapping[str, str]:
    """Mail -> cancel or order: a sentence that counts among so many words that do not.

    Args:
        before: Share of these words that stand before the sentence.
    """
    rng = np.random.default_rng(words)
    made: dict[str, str] = {}
    for _ in range(count):
        label = ("cancel", "order")[int(rng.integers(2))]
        own = (ORDER if label == "order" else CANCEL)[int(rng.integers(4))]
        around = [str(one) for one in rng.choice(NOISE, words)]
        cut = int(before * words)
        made[" ".join([*around[:cut], f"{own}.", *around[cut:]])] = label
    return made
