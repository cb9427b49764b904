"""What Stanford's PTBTokenizer 3.4.1 and coco-caption's list of punctuation make of sentences.

Made by running `java -cp stanford-corenlp-3.4.1.jar edu.stanford.nlp.process.PTBTokenizer
-preserveLines -lowerCase` on them and dropping the punctuation that pycocoevalcap 1.2 drops.
"""

from __future__ import annotations

PTB_TABLE = (
    ("pushing a red cup from left to right", "pushing a red cup from left to right"),
    ("Pushing The CUP, slowly.", "pushing the cup slowly"),
    ("she doesn't, won't and can't; isn't it?", "she does n't wo n't and ca n't is n't it"),
    (
        "it's what they've said: I'd go, we're in, you'll see, I'm out",
        "it 's what they 've said i 'd go we 're in you 'll see i 'm out",
    ),
    ("John's cup and the boys' cups", "john 's cup and the boys cups"),
    ("it\u2019s a child\u2019s toy, isn\u2019t it", "it 's a child 's toy is n't it"),
    ("cannot gonna gotta wanna lemme gimme", "can not gon na got ta wan na lem me gim me"),
    ("'tis a box, 'twas a box", "'t is a box 't was a box"),
    (
        "the 'blue' cup, a \"green\" cup, \u201cone\u201d and \u2018two\u2019",
        "the blue cup a green cup one and two",
    ),
    ("``red'' and `blue'", "red and blue"),
    (
        "a t-shirt, a mother-in-law, a pick-up and an x-ray",
        "a t-shirt a mother-in-law a pick-up and an x-ray",
    ),
    ("a cup - red -- not blue \u2014 on a box \u2013 here", "a cup red not blue on a box here"),
    (
        "a cup (black) on [a box] in {a bag}",
        "a cup -lrb- black -rrb- on -lsb- a box -rsb- in -lcb- a bag -rcb-",
    ),
    ("<unk> on <unk>", "<unk> on <unk>"),
    ("a 3.5 cm nut and 1,000 pins at 12:30", "a 3.5 cm nut and 1,000 pins at 12:30"),
    ("10cm 5kg 2x4 3d 1.5l 100ml 2nd 50's", "10cm 5kg 2x4 3d 1.5 l 100ml 2nd 50 's"),
    ("5% of $5 and #2 for \xa33 or \u20ac4", "5 % of $ 5 and # 2 for # 3 or $ 4"),
    ("1/2 of a cup and/or he/she w/o milk", "1/2 of a cup and/or he/she w/o milk"),
    (
        "mr. and mrs. x, dr. y, etc. and so on, e.g. this, i.e. that, u.s. made",
        "mr. and mrs. x dr. y etc. and so on e.g. this i.e. that u.s. made",
    ),
    ("no. 5 is no. more", "no. 5 is no more"),
    ("wow... really?! yes!! no???", "wow really ?! yes !! no ???"),
    ("end. of, one,two a;b a:b two..three cup.,box", "end of one two a b a b two three cup. box"),
    ("cup.box file.name a.b", "cup.box file.name a.b"),
    (
        "o'clock ol' man ma'am c'mon y'all rock'n'roll o'neil l'eau",
        "o'clock ol' man ma'am c'mon y' all rock 'n' roll o'neil l'eau",
    ),
    ("'em 'til 'cause jack-o'-lantern", "'em 'til 'cause jack-o lantern"),
    ("salt & pepper, AT&T, a + b = c * d", "salt & pepper at&t a + b = c * d"),
    ("caf\xe9 na\xefve \xf1 \xdcnder \u043e box", "caf\xe9 na\xefve \xf1 \xfcnder \u043e box"),
    ("a cup \U0001f600 and a \u2605", "a cup and a \u2605"),
    ("AA's mother's-day gov't cont'd", "aa 's mother 's day gov t cont 'd"),
    ("-5 +5 5+ 1-2 10-20", "-5 +5 5 + 1-2 10-20"),
    ("&amp; &lt; &quot;", "& <"),
    (
        "http://example.com/a?b=c someone@example.com www.example.org #tag @user",
        "http://example.com/a?b=c someone@example.com www.example.org #tag @user",
    ),
    ("5' 6\" 5'6\"", "5 6 5 6"),
    ("  many   spaces\tand tabs ", "many spaces and tabs"),
    ("...", ""),
)
