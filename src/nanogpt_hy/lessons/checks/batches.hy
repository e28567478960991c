"Steps 1 and 2: characters as ids, and batches of windows with their targets."

(eval-when-compile
  (require hyrule [ncut]))
(import  math [sqrt]
         torch
         nanogpt-hy.lessons.checks.basics [chi-square generator must must-be-shaped repeatable
                                           uses-own-generator])

(defn check-tokenizer [make * [text "First Citizen:\nBefore we proceed…"]]
  "(CharTokenizer text): .chars, .vocab-size, .encode, .decode."
  (setv tokenizer (make text))
  (must (= (list tokenizer.chars) (sorted (set text)))
        "chars should be the distinct characters in sorted order, the same on every machine")
  (must (= tokenizer.vocab-size (len (set text)))
        "vocab-size should be the number of distinct characters: as many rows as a table has")
  (setv ids (.encode tokenizer text))
  (must (= (len ids) (len text))
        f"{(len text)} characters became {(len ids)} ids: each should become one")
  (must (= (set ids) (set (range (len (set text)))))
        "the ids should be 0, 1, 2, …: they are the numbers of rows in a table")
  (must (= ids (lfor  char text  (.index (list tokenizer.chars) char)))
        "the id of a character should be its place among chars")
  (must (= (.decode tokenizer ids) text)
        "decode does not undo encode: what the model writes could not be read"))

(defn check-split [split * [length 1,003]]
  "(N) -> (n) (N-n): 90 % and the rest, in order."
  (setv ids (torch.arange length)
        [train val] (split ids))
  (must (= (+ (len train) (len val)) length)
        "a token is in both parts or in none: what is validated must not have been learned")
  (must (torch.equal (torch.cat [train val]) ids)
        "the tokens are no longer in order: a text is split, not shuffled")
  (must (= (len train) (int (* 0.9 length)))
        f"{(len train)} of {length} tokens are to learn from, and it should be 90 %"))

(defn check-targets [x y]
  "Y, the targets of X, windows of the ids 7 8 9 …, are one token later."
  (must (= x.shape y.shape) "inputs and targets differ in shape: every place has a target")
  (must (not (torch.equal y x))
        "the targets are the inputs themselves: nothing to guess, the loss would fall to 0")
  (must (not (.any (= y (- x 1))))
        "the targets are the tokens before: the model would learn to write backwards")
  (must (torch.equal y (+ x 1))
        "the target of a token is not the token right after it"))

(defn check-windows [windows * [length 40] [block-size 8] [starts #(0 17 31 17)]]
  "(N) (B) -> (B T) (B T): a window from each start, and the same one token later."
  (setv ids   (torch.arange 7 (+ 7 length))
        given (windows ids (torch.tensor starts) block-size))
  (must (and (isinstance given #(list tuple)) (= (len given) 2))
        "what it gives is no list of two: the inputs (B T), and their targets (B T)")
  (setv [x y] given)
  (must-be-shaped x [(len starts) block-size] "x")
  (for [[row start] (zip x starts)]
    (must (torch.equal row (cut ids start (+ start block-size)))
          f"the window from {start} on is not the {block-size} tokens that stand there"))
  (check-targets x y))

(defn check-examples [examples * [length 5]]
  "(T) (T) -> T pairs: each beginning of x with the target of its last token."
  (setv x (torch.arange length)
        pairs (examples x (+ x 1)))
  (must (= (len pairs) length)
        f"a window of {length} tokens is {length} examples, and here are {(len pairs)}")
  (for [[t [context target]] (enumerate pairs)]
    (must (torch.equal context (cut x (+ t 1)))
          f"context {t} should be the first {(+ t 1)} tokens: even 1 token is a context")
    (must (= (int target) (+ t 1))
          f"what follows the context of {(+ t 1)} tokens is not its target")))

(defn [repeatable] check-draw-batch [draw-batch * [starts 8] [block-size 4]]
  "(N) -> (B T) (B T): windows whose starts are any that leave room for a target, equally likely."
  (setv ids (torch.arange 7 (+ 7 starts block-size))
        [x y] (draw-batch ids :batch-size 4,000 :block-size block-size :generator (generator 0)))
  (must-be-shaped x [4,000 block-size] "x")
  (check-targets x y)
  (must (torch.equal x (+ (ncut x : :1) (torch.arange block-size)))
        "a window is not tokens that follow each other")
  (setv counts (torch.bincount (- (ncut x : 0) 7) :minlength starts))
  (must (.all (> counts 0))
        "some window is never drawn: the last start is the one that leaves just one target")
  (must (< (chi-square counts (/ (torch.ones starts) starts)) (+ starts (* 5 (sqrt (* 2 starts)))))
        "some windows are drawn more often than others")
  (uses-own-generator (fn [g] (get (draw-batch ids :batch-size 9 :block-size 2 :generator g) 0))
                      "a run could not be repeated"))
