"""Writes unicode_tables.inc, the character classes that pre_tokenizer.cc and word_split.cc need.

Usage: pip install unicodedata2==16.0.0 && python unicode_tables.py
Unicode 16 is what Hugging Face's tokenizers 0.23 has.
"""

from pathlib import Path

import unicodedata2

OTHER, LETTER, NUMBER, SPACE = range(4)


def character_class(code_point: int) -> int:
    """Letter and number are the general categories L* and N*; space is the property White_Space."""
    category = unicodedata2.category(chr(code_point))
    if category[0] == "L":
        return LETTER
    if category[0] == "N":
        return NUMBER
    if category[0] == "Z" or 0x9 <= code_point <= 0xD or code_point == 0x85:
        return SPACE
    return OTHER


def main() -> None:
    runs: list[int] = []
    previous = -1
    for code_point in range(0x110000):
        current = character_class(code_point)
        if current != previous:
            runs.append(code_point << 2 | current)
            previous = current
    lines = [
        f"// Made by unicode_tables.py from Unicode {unicodedata2.unidata_version}: where a run of one class begins,",
        "// code point << 2 | class (0 other, 1 letter, 2 number, 3 space).",
    ]
    lines += ["    " + ", ".join(f"0x{run:x}" for run in runs[i : i + 12]) + "," for i in range(0, len(runs), 12)]
    Path(__file__).with_suffix(".inc").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
