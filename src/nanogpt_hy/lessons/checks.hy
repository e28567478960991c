"What each piece of the course has to do, as checks of any implementation of it.

A check takes an implementation, which is called as the course's own is: (check-windows windows).
It gives nothing where all is well, else it raises CheckFailed with a sentence that says what is
wrong and why it matters. CHECKS has them by the course's names. The tests call them on the course
and on a collection of wrong answers, the lessons on what a reader has written.

They look at what comes out and, where that cannot tell, at the names that the course gives to
weights (key, query, value, heads). They need nothing of the course, so it cannot prove itself."

(eval-when-compile
  (require hyrule [ncut]
           nanogpt-hy.notation [deflayer]))
(import  dataclasses [replace]
         functools [wraps]
         math [log sqrt]
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.errors [WorkError])

(defclass CheckFailed [WorkError]
  "An implementation is wrong; the text says how, and why that matters.")


;;; What the checks are made of

(defn must [right sentence]
  "CheckFailed with SENTENCE, unless RIGHT."
  (when (not right)
    (raise (CheckFailed sentence))))

(defn repeatable [check]
  "CHECK with its own random draws, the same at each SEED; torch's generator is left as it was."
  (defn [(wraps check)] checked [#* args [seed 0] #** options]
    (with [(torch.random.fork-rng :devices [])]
      (torch.manual-seed seed)
      (check #* args #** options)))
  checked)

(defn generator [seed]
  "A generator that starts at SEED."
  (.manual-seed (torch.Generator) seed))

(defn same [x y]
  "Whether two tensors are equal but for rounding. NaN equals nothing."
  (and (= x.shape y.shape) (torch.allclose x y :rtol 1e-4 :atol 1e-5)))

(defn must-be-shaped [x shape what]
  (must (= (tuple x.shape) (tuple shape))
        f"{what} has the shape {(tuple x.shape)} instead of {(tuple shape)}"))

(defn must-be-finite [x why]
  (must (.item (.all (torch.isfinite x)))
        f"the output holds NaN or infinity {why}"))

(defn chi-square [counts probabilities]
  "How far COUNTS are from what PROBABILITIES let expect; on average one less than the cells."
  (setv expected (* (.sum counts) probabilities))
  (.item (.sum (/ (** (- counts expected) 2) expected))))

(defn uses-own-generator [draw why]
  "DRAW, a function of a generator, repeats with it and leaves torch's default one alone."
  (setv before (torch.get-rng-state)
        once   (draw (generator 5))
        twice  (draw (generator 5)))
  (must (torch.equal before (torch.get-rng-state))
        f"draws come from torch's default generator although another was given: {why}")
  (must (torch.equal once twice)
        f"the same seed gives something else the second time: {why}"))


;;; No looking ahead

(defn until [x t]
  "(B T …) -> (B t+1 …): places 0 to T, T included."
  (ncut x : (: (+ t 1))))

(defn future-is-unseen [model x another]
  "No output changes when what comes after it is ANOTHER; bit by bit."
  (setv y (model x))
  (for [t (range (- (get x.shape 1) 1))]
    (setv changed (torch.cat [(until x t) (ncut another : (: (+ t 1) None))] :dim 1))
    (must (torch.equal (until (model changed) t) (until y t))
          (+ f"the output at place {t} changes when a later token does: it looks at what it has "
             "to guess, so it would do well in training and could not write"))))

(defn gradients-at [y t inputs]
  "The gradients of a random mixture of Y (B T C) at place T; a plain sum would be blind to norms."
  (setv there (ncut y : t)
        mixture (.sum (* there (torch.randn-like there))))
  (torch.autograd.grad mixture inputs :retain-graph True :allow-unused True))

(defn no-gradient-from-future [y inputs]
  "Y (B T C) has a gradient of exactly 0 from every later place of INPUTS (… T C)."
  (for [t (range (- (get y.shape 1) 1))
        g (gradients-at y t inputs)
        :if (is-not g None)]
    (must (not (.any (!= (ncut g ... (: (+ t 1) None) :) 0)))
          (+ f"the output at place {t} has a gradient from a later place: it would learn from "
             "what it has to guess"))))

(defn [repeatable] check-causal [layer n-embd * [batch 2] [length 7]]
  "(B T C) -> (B T D): no output depends on a later input, whatever the numbers are."
  (setv x (.requires-grad_ (torch.randn batch length n-embd))
        y (layer x))
  (must (= (list (cut y.shape 2)) [batch length])
        f"(B T C) became {(tuple y.shape)}: batch and length should stay as they are")
  (must-be-finite y "for random numbers: is there a row that may look at nothing, not even itself?")
  (future-is-unseen layer (.detach x) (torch.randn-like x))
  (no-gradient-from-future y [x])
  (setv zeros (torch.zeros-like x))
  (must-be-finite (layer zeros) (+ "for zeros: a score may happen to be 0, so the mask has to come "
                                   "from the places and not from where a score is 0"))
  (future-is-unseen layer zeros (torch.randn-like x)))

(defn embedded [model ids]
  "-> logits, [what each nn.Embedding in MODEL gave]."
  (setv found []
        hooks (lfor layer (.modules model)
                    :if (isinstance layer nn.Embedding)
                    (.register-forward-hook layer (fn [_ inputs output] (.append found output)))))
  (setv logits (model ids))
  (for [hook hooks]
    (.remove hook))
  [logits found])

(defn [repeatable] check-causal-model [model vocab-size * [batch 2] [length 7]]
  "(B T) -> (B T V): no logits depend on a later token."
  (setv ids (torch.randint vocab-size #(batch length))
        another (% (+ ids 1) vocab-size)
        [logits found] (embedded model ids))
  (must-be-shaped logits [batch length vocab-size] "what the model gives")
  (must-be-finite logits "for random tokens")
  (future-is-unseen model ids another)
  (no-gradient-from-future logits found))

(defn sees-its-past [layer n-embd]
  "Every output of LAYER, (B T C) -> (B T D), depends on all earlier inputs and on its own."
  (setv x (.requires-grad_ (torch.randn 1 6 n-embd))
        y (layer x))
  (for [t (range 6)]
    (setv [g] (gradients-at y t [x])
          reached (.any (!= (get g 0) 0) :dim -1))                        ; (T)
    (must (get reached t)
          f"place {t} cannot see itself: its own token is no secret to it, only the later ones are")
    (must (.all (cut reached t))
          f"place {t} does not see all of its past, which is what attention is for")))

(defn [repeatable] check-position-wise [layer n-embd]
  "(B T C) -> (B T C): no position sees another, and no row of the batch another."
  (setv x (torch.randn 3 5 n-embd)
        y (layer x))
  (must-be-shaped y x.shape "the output")
  (for [[b t] [[0 0] [1 2] [2 4]]]
    (setv changed (.clone x)
          (get changed #(b t)) (torch.randn n-embd)
          same-there (.all (= (layer changed) y) :dim -1)
          others (torch.ones 3 5 :dtype torch.bool)
          (get others #(b t)) False)
    (must (.all (get same-there others))
          (+ f"changing row {b}, place {t} changes another place: this layer works on the channels "
             "of one position, never along the text or across the batch"))))


;;; Steps 1 to 5: tokens, batches, the bigram, writing, learning

(defn check-tokenizer [make * [text "First Citizen:\nBefore we proceed…"]]
  "(CharTokenizer text): .chars, .vocab-size, .encode, .decode."
  (setv tokenizer (make text)
        ids (.encode tokenizer text))
  (must (= (list tokenizer.chars) (sorted (set text)))
        "chars should be the distinct characters in sorted order, the same on every machine")
  (must (= tokenizer.vocab-size (len (set text)))
        "vocab-size should be the number of distinct characters: as many rows as a table has")
  (must (= (len ids) (len text))
        f"{(len text)} characters became {(len ids)} ids: each should become one")
  (must (= (set ids) (set (range (len (set text)))))
        "the ids should be 0, 1, 2, …: they are the numbers of rows in a table")
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
  (setv ids (torch.arange 7 (+ 7 length))
        [x y] (windows ids (torch.tensor starts) block-size))
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

(defn [repeatable] check-bigram [make * [vocab-size 7]]
  "(Bigram V): (B T) -> (B T V), a row of a table for each token, as it is."
  (setv model (make vocab-size)
        table (next (.parameters model))
        ids   (torch.randint vocab-size #(3 5)))
  (check-causal-model model vocab-size)
  (must (= (lfor  p (.parameters model)  (tuple p.shape)) [#(vocab-size vocab-size)])
        "a bigram model is one table, vocab-size times vocab-size")
  (must (torch.equal (model ids) (get table ids))
        (+ "the logits are not the token's row as it stands: rows are logits, any numbers, and "
           "softmax comes later, with the loss or when drawing")))

(defn [repeatable] check-cross-entropy [cross-entropy * [vocab-size 65]]
  "(B T V) (B T) -> (): the mean of -ln p(target), p being the softmax of the logits."
  (setv targets (torch.randint vocab-size #(3 5))
        logits  (torch.randn 3 5 vocab-size)
        sure    (* 50.0 (F.one-hot targets vocab-size))
        guess   (cross-entropy (torch.zeros 3 5 vocab-size) targets)
        by-hand (- (.mean (.log (.gather (F.softmax logits :dim -1) 2 (ncut targets ... None))))))
  (must-be-shaped guess [] "the loss")
  (must (< (abs (- (.item guess) (log vocab-size))) 1e-4)
        f"a guess among {vocab-size} tokens should lose ln {vocab-size} = {(log vocab-size) :.4f}")
  (must (< (.item (cross-entropy sure targets)) 1e-4)
        "a model that is sure and right should lose 0: are probabilities taken for logits?")
  (must (same (cross-entropy logits targets) by-hand)
        "the loss is not the mean of -ln of the probability that the target was given"))

(deflayer Table [logits]
  "(B t) -> (B t V): a bigram model with these logits, which keeps what it was shown."
  [logits logits
   seen   []]
  (forward [self ids]
    (.append self.seen ids)
    (get self.logits ids)))

(defn check-next-logits [next-logits]
  "(B T) -> (B V): the logits after the last token, from the last block-size tokens."
  (setv logits (.view (torch.arange 12.0) 4 3)
        model  (Table (get logits (torch.tensor [3 1 0 2])))
        ids    (torch.tensor [[0 1 2 3] [3 2 1 0]])
        all-of-it (next-logits model ids)
        cropped (next-logits model ids :block-size 3))
  (must (torch.equal all-of-it (get model.logits (ncut ids : -1)))
        "not the logits after the last token: only there stands what comes next")
  (must (torch.equal (get model.seen 0) ids) "block-size 0 means no limit: show all the tokens")
  (must (torch.equal (get model.seen 1) (ncut ids : -3:))
        "with block-size 3 the model should be shown the last 3 tokens: it knows no places beyond")
  (must (torch.equal cropped all-of-it) "the logits change although the last token is the same"))

(defn check-extends [generate]
  "The prompt stays, COUNT tokens are added, the model sees the last block-size of them."
  (setv prompt (torch.tensor [[0 1 2] [2 2 2]])
        model  (Table (torch.randn 3 3))
        out    (generate model prompt 6 :block-size 4 :generator (generator 1)))
  (must-be-shaped out [2 9] "the text, 3 tokens and 6 more,")
  (must (torch.equal (ncut out : :3) prompt) "the prompt is no longer at the beginning")
  (for [[n seen] (enumerate model.seen)]
    (must (<= (get seen.shape 1) 4)
          (+ f"with block-size 4 the model was shown {(get seen.shape 1)} tokens: crop the "
             "context, for it has no positions beyond block-size"))
    (must (torch.equal seen (ncut out : (: (max 0 (- n 1)) (+ n 3))))
          "the model is not shown the last tokens of what has been written so far"))
  (must (torch.equal (generate model prompt 0) prompt) "0 more tokens should be the prompt alone"))

(defn [repeatable] check-generate [generate]
  "(B T) -> (B T+count): goes on with tokens drawn by the softmax of the logits, one at a time."
  (check-extends generate)
  (setv logits (torch.tensor [[2.0 0.0 -1.0] [-1.0 1.0 0.0] [0.5 0.0 1.5]])
        model  (Table logits)
        out    (generate model (torch.randint 3 #(3,000 1)) 3 :generator (generator 1))
        pairs  (+ (* 3 (ncut out : :-1)) (ncut out : 1:))
        counts (.view (torch.bincount (.flatten pairs) :minlength 9) 3 3))
  (for [[row p] (zip counts (F.softmax logits :dim -1))]
    (must (< (chi-square row p) 16)                ; by chance once in 3,000 times
          (+ "tokens are not drawn with the model's probabilities, the softmax of its logits "
             "(once) at the last place")))
  (uses-own-generator (fn [g] (generate model (torch.zeros 4 1 :dtype torch.long) 9 :generator g))
                      "a text could not be had again"))

(defn little-model [vocab-size * [dropout 0.0]]
  "Something small that learns, for the checks of what trains it."
  (nn.Sequential (nn.Embedding vocab-size 8) (nn.Dropout dropout) (nn.Linear 8 vocab-size)))

(defn plain-loss [model x y]
  "The mean loss over a batch, from torch itself."
  (F.cross-entropy (.flatten (model x) 0 1) (.flatten y)))

(defn gradients [model]
  "All gradients of MODEL in one tensor."
  (torch.cat (lfor  p (.parameters model)  (.flatten (.clone p.grad)))))

(defn weights [model]
  "All weights of MODEL in one tensor, as they are now."
  (torch.cat (lfor  p (.parameters model)  (.flatten (.clone (.detach p))))))

(defn still [model]
  "An optimizer whose steps are of size 0."
  (torch.optim.SGD (.parameters model) :lr 0.0))

(defn step-is-one-gradient [train-step model x y]
  "A step's gradient is its own batches' mean, whatever was there before."
  (train-step model (still model) [x y])
  (setv once (gradients model))
  (train-step model (still model) [x y])
  (must (same (gradients model) once)
        "gradients of earlier steps are still there: empty them before each step (zero-grad)")
  (train-step model (still model) [(cut x 3) (cut y 3)] [(cut x 3 None) (cut y 3 None)])
  (must (same (gradients model) once)
        (+ "two halves of a batch do not give the gradient of the whole: the mean over the batches "
           "is wanted, so that several small ones act as a large one")))

(defn [repeatable] check-train-step [train-step]
  "(train-step model optimizer #* batches): a step down the mean loss; gives the loss before it."
  (setv model  (little-model 5)
        x      (torch.randint 5 #(6 4))
        y      (% (+ x 1) 5)
        adam   (torch.optim.AdamW (.parameters model) :lr 0.05)
        before (.item (plain-loss model x y))
        start  (weights model)
        said   (.item (train-step model adam [x y])))
  (must (not (torch.equal (weights model) start)) "the weights did not change: nothing is learned")
  (must (< (abs (- said before)) 1e-5)
        f"the loss before the step is {before :.4f}, and {said :.4f} was given")
  (for [_ (range 30)]
    (train-step model adam [x y]))
  (must (< (.item (plain-loss model x y)) (/ before 2))
        "after 31 steps on one easy batch the loss has not even halved: do the steps go downhill?")
  (step-is-one-gradient train-step model x y))

(defn leaves-all-alone [model act]
  "ACT changes neither the weights of MODEL nor its gradients, and no generator; gives its result."
  (setv start     (weights model)
        generator (torch.get-rng-state)
        result    (act))
  (must (torch.equal (weights model) start) "evaluating changed the weights: it must only look")
  (must (all (gfor p (.parameters model) (is p.grad None)))
        "evaluating left gradients behind, which the next step would take for its own")
  (must (not result.requires-grad)
        "the loss still carries what is needed for gradients, which takes memory: use no-grad")
  (must (torch.equal (torch.get-rng-state) generator)
        (+ "evaluating drew random numbers, so how often one evaluates would change what is "
           "trained: is dropout on?"))
  result)

(defn [repeatable] check-evaluate [evaluate]
  "(evaluate model batches): the mean loss, in eval mode; MODEL is as before, and in training."
  (setv model   (little-model 5 :dropout 0.5)
        batches (lfor _ (range 3)  [(torch.randint 5 #(6 4)) (torch.randint 5 #(6 4))]))
  (.eval model)
  (setv losses (lfor  [x y] batches  (.detach (plain-loss model x y))))
  (.train model)
  (setv said (leaves-all-alone model (fn [] (evaluate model batches))))
  (must (same said (.mean (torch.stack losses)))
        "this is not the mean of the batches' losses in eval mode, where dropout is off")
  (must (all (gfor  layer (.modules model)  layer.training))
        "the model is left in eval mode: it would go on to train without dropout"))


;;; Steps 6 to 9: averages, embeddings, attention

(defn check-causal-mask [causal * [length 5]]
  "-> (T T): true where row t may look at column s, s <= t."
  (setv mask (causal length))
  (must-be-shaped mask [length length] "the mask")
  (must (is mask.dtype torch.bool) "the mask should hold true and false")
  (for [t (range length)  s (range length)]
    (must (= (bool (get mask #(t s))) (<= s t))
          (+ f"place {t} {(if (<= s t) "may not" "may")} look at place {s}: true means may look, "
             "at the past and at itself"))))

(defn [repeatable] check-average [average * [batch 2] [length 6] [n-embd 3]]
  "(B T C) -> (B T C): at each place the mean of all places up to it."
  (check-causal average n-embd :batch batch :length length)
  (setv x (torch.randn batch length n-embd)
        y (average x))
  (must-be-shaped y x.shape "the average")
  (for [b (range batch)  t (range length)]
    (must (same (get y #(b t)) (/ (sum (ncut x b (: (+ t 1)))) (+ t 1)))
          f"place {t} does not hold the average of places 0 to {t}")))

(defn [repeatable] check-embed [make]
  "(Embed V block-size C): (B T) -> (B T C), a vector for the token plus one for the place."
  (setv embed (make 7 6 4))
  (for [[batch length] [[2 5] [6 6] [5 2] [1 1]]]      ; also where a wrong axis would fit
    (setv ids (torch.randint 7 #(batch length)))
    (must-be-shaped (embed ids) [batch length 4] f"{batch} rows of {length} ids: the output"))
  (setv y (embed (.expand (ncut (torch.arange 6) : None) 6 6)))       ; row b holds 6 times token b
  (must (not (same (ncut y 0 0) (ncut y 0 1)))
        (+ "the same token has the same vector at two places: positions are missing, or added "
           "along the batch instead of along the text"))
  (must (same (- (ncut y : :1) y) (.expand-as (- (ncut y :1 :1) (ncut y :1)) y))
        (+ "what a place adds depends on the row or the token: it should be the same vector for "
           "all that stands at that place")))

(defn [repeatable] check-language-model [make]
  "(LanguageModel c make-body): (B T) -> (B T V), embed, body, lm-head."
  (setv c (GPTConfig :vocab-size 7 :block-size 6 :n-embd 4)
        model (make c (fn [c] (nn.Identity)))
        blind (make c (fn [c] (nn.Linear c.n-embd c.n-embd :bias False))))
  (check-causal-model model 7 :length 6)
  (check-causal-model model 7 :length 2)
  (for [p (.parameters blind.body)]
    (nn.init.zeros_ p))
  (setv y (blind (torch.randint 7 #(2 6))))
  (must (same y (.expand-as (ncut y :1 :1) y))
        "with a body that gives 0 all logits should be alike: something goes past the body"))

(defn scaled-scores [q k size]
  "(… T D) (… S D) -> (… T S): the dot products, divided by the root of SIZE."
  (/ (torch.einsum "...td,...sd->...ts" q k) (sqrt size)))

(defn past-only [T]
  "-> (T T): the causal mask, by comparing places."
  (>= (ncut (torch.arange T) : None) (torch.arange T)))

(defn rows-are-shares [weights]
  (setv sums (.sum weights :dim -1))
  (must (same sums (torch.ones-like sums))
        (+ "what a query takes from all keys does not sum to 1: softmax runs along the last axis, "
           "the keys, not along the queries"))
  (must (.all (>= weights 0)) "a share is negative: rows should come from softmax"))

(defn mask-is-obeyed [weigh q k mask]
  "Where MASK is false the weight is exactly 0, also if all scores are 0; where true it is not."
  (for [q [q (torch.zeros-like q)]]
    (setv weights (weigh q k :mask mask))
    (must (.all (torch.isfinite weights))
          (+ "NaN where all scores are 0: the mask has to come from the places and not from where "
             "a score is 0"))
    (must (not (.any (!= (.masked-select weights (bnot mask)) 0)))
          "a masked key is looked at: mask true means may look, and the others get exactly 0")
    (rows-are-shares weights))
  (must (same weights (.expand-as (/ (.float mask) (.sum mask :dim -1 :keepdim True)) weights))
        "when all scores are 0, all keys that may be looked at should get equal shares"))

(defn [repeatable] check-attention-weights [weigh * [size 64]]
  "(… T D) (… S D) -> (… T S): softmax of q·k divided by the root of D, masked."
  (setv q (torch.randn 2 5 size)
        k (torch.randn 2 200 size)
        weights (weigh q k))
  (must-be-shaped weights [2 5 200] "for 5 queries and 200 keys, what comes out")
  (rows-are-shares weights)
  (setv spread (.item (.mean (.var (.log weights) :dim -1))))      ; a logit less a constant
  (must (< 0.8 spread 1.25)
        (+ f"for queries and keys of variance 1 the scores' variance is {spread :.2f} and should "
           "be 1: divide by the root of the head size, else softmax hardens with the size"))
  (must (same weights (F.softmax (scaled-scores q k size) :dim -1))
        "the scores are not the dot products of queries and keys")
  (mask-is-obeyed weigh q (ncut k : :5) (past-only 5)))

(defn [repeatable] check-attend [attend]
  "(… T D) (… S D) (… S E) -> (… T E): values in the shares that keys match queries."
  (setv q (torch.randn 2 3 5 8)  k (torch.randn 2 3 6 8)  v (torch.randn 2 3 6 4)
        shares (F.softmax (scaled-scores q k 8) :dim -1)
        order  (torch.randperm 6))
  (must-be-shaped (attend q k v) [2 3 5 4] "what comes out")
  (must (same (attend q k v) (@ shares v))
        "this is not the values, mixed in the shares that softmax of the scaled scores gives")
  (must (same (attend q (ncut k ... order :) (ncut v ... order :)) (attend q k v))
        "without a mask the order of keys and values should not matter: attention knows no places")
  (setv turned (lfor  x [k k v]  (ncut x ... order :)))
  (must (same (attend #* turned) (ncut (attend k k v) ... order :))
        "without a mask, tokens in another order should give the same outputs in that order")
  (mask-is-obeyed (fn [q k * mask] (attend q k (torch.eye 6) :mask mask)) k k (past-only 6)))

(defn plain-head [head x size]
  "What a causal head with these weights gives, when its scores are divided by the root of SIZE."
  (setv scores (scaled-scores (head.query x) (head.key x) size)
        scores (.masked-fill scores (bnot (past-only (get x.shape 1))) -1e30))
  (@ (F.softmax scores :dim -1) (head.value x)))

(defn listens-evenly [head n-embd]
  "A HEAD whose keys say nothing takes the average of its past: all scores are 0."
  (nn.init.zeros_ head.key.weight)
  (setv x (torch.randn 2 6 n-embd)
        v (head.value x)
        counts (torch.arange 1 7))
  (must (same (head x) (/ (.cumsum v :dim 1) (ncut counts : None)))
        "a head whose scores are all 0 should give the average of the past's values"))

(defn [repeatable] check-head [make * [n-embd 32] [head-size 2]]
  "(Head n-embd head-size), with .key .query .value: (B T C) -> (B T D), causal self-attention."
  (setv head (make n-embd head-size)
        x    (* 3 (torch.randn 2 6 n-embd)))
  (check-causal head n-embd)
  (must-be-shaped (head x) [2 6 head-size] "what a head gives")
  (sees-its-past head n-embd)
  (must (all (gfor layer [head.key head.query head.value]  (is layer.bias None)))
        "key, query and value are linear layers without bias")
  (must (not (same (head x) (plain-head head x n-embd)))
        (+ "the scores are divided by the root of n-embd: they are sums over the head size, so "
           "it is the head size that makes them large"))
  (must (not (same (head x) (plain-head head x 1)))
        "the scores are not divided by the root of the head size: softmax gets too hard")
  (must (same (head x) (plain-head head x head-size))
        "this is not softmax(q k / root of the head size), the future masked, times the values")
  (listens-evenly head n-embd))

(defn [repeatable] check-heads [make * [n-embd 6] [n-head 3]]
  "(Heads n-embd n-head), with .heads: (B T C) -> (B T C), the heads' outputs side by side."
  (setv layer (make n-embd n-head)
        x     (torch.randn 2 5 n-embd)
        y     (layer x)
        size  (// n-embd n-head))
  (check-causal layer n-embd)
  (must-be-shaped y x.shape "what the heads give together")
  (must (= (len layer.heads) n-head) f"there are {(len layer.heads)} heads instead of {n-head}")
  (for [[h head] (enumerate layer.heads)]
    (must (same (ncut y ... (: (* h size) (* (+ h 1) size))) (head x))
          f"channels {(* h size)} to {(- (* (+ h 1) size) 1)} should be what head {h} found")))

(defn [repeatable] check-many-heads [attend-many]
  "[q k v n-head], (B T C) each -> (B T C): all heads at once, each on its own slice of channels."
  (setv q (torch.randn 2 5 6)  k (torch.randn 2 5 6)  v (torch.randn 2 5 6))
  (for [n-head [1 2 3]]
    (setv y (attend-many q k v n-head))
    (must-be-shaped y [2 5 6] "what the heads give together")
    (check-causal (fn [x] (attend-many x x x n-head)) 6)
    (setv parts [])
    (for [[q1 k1 v1] (zip #* (lfor  x [q k v]  (.chunk x n-head :dim -1)))]
      (setv scores (scaled-scores q1 k1 (// 6 n-head)))
      (.append parts (@ (F.softmax (.masked-fill scores (bnot (past-only 5)) -1e30) :dim -1) v1)))
    (must (same y (torch.cat parts :dim -1))
          (+ f"{n-head} heads at once do not give what they give one by one: split the channels "
             "into (H D) first and then swap the axes T and H, and back at the end"))))

(defn [repeatable] check-multi-head-attention [make * [n-embd 12] [n-head 3]]
  "(MultiHeadAttention n-embd n-head), with .heads .project: the heads' outputs, projected."
  (setv layer (make n-embd n-head)
        x     (torch.randn 2 5 n-embd))
  (check-causal layer n-embd)
  (must-be-shaped (layer x) x.shape "the output")
  (sees-its-past layer n-embd)
  (must (same (layer x) (layer.project (layer.heads x)))
        "this is not the projection of what the heads found")
  (check-output-dropout make n-embd n-head))


;;; Steps 10 to 12: feed-forward, blocks, the whole model

(defn check-modes [layer plain x]
  "LAYER, with dropout, is PLAIN, the same without, in eval mode; in training it is so on average."
  (.eval layer)
  (must (torch.equal (layer x) (layer x))
        "dropout is active in eval mode: a text would be written by half a model")
  (must (same (layer x) (plain x)) "in eval mode, dropout should change nothing at all")
  (.train layer)
  (setv many (layer (.expand x 4,000 -1 -1))
        [spread mean] (torch.std-mean many :dim 0))
  (must (not (same (get many 0) (get many 1))) "no dropout while training: nothing is left out")
  (must (.all (<= (abs (- mean (get (plain x) 0))) (+ 1e-4 (* 6 (/ spread (sqrt 4,000))))))
        (+ "while training the output is not right on average: what dropout keeps has to be "
           "divided by the chance to be kept")))

(defn [repeatable] check-output-dropout [make #* sizes]
  "(make #* sizes :dropout p): the output's numbers are left out while training."
  (setv layer (make #* sizes :dropout 0.3)
        plain (make #* sizes)
        x     (torch.randn 1 4 (get sizes 0)))
  (.load-state-dict plain (.state-dict layer))
  (check-modes layer plain x)
  (setv zeros (.item (.mean (.float (= (layer (.expand x 400 -1 -1)) 0)))))
  (must (< 0.25 zeros 0.35)
        f"with dropout 0.3, {zeros :.2f} of the outputs are 0: the last thing it does is dropout"))

(defn [repeatable] check-attention-dropout [make]
  "(Head n-embd head-size :dropout p): shares are left out after softmax, while training."
  (setv head  (make 6 4 :dropout 0.5)
        plain (make 6 4)
        alike (.expand (torch.randn 6) 1 5 6))          ; even shares, and all values the same
  (.load-state-dict plain (.state-dict head))
  (check-modes head plain (* 5 (torch.randn 1 5 6)))
  (setv kept (/ (head (.expand alike 50 -1 -1)) (plain alike))            ; (50 T D)
        tokens (* 0.5 kept (ncut (torch.arange 1 6) : None)))
  (must (same kept (.expand-as (ncut kept ... :1) kept))
        "dropout leaves out single channels of the output: it should leave out whole shares")
  (must (same tokens (.round tokens))
        "what is left is no whole number of shares: dropout comes after softmax, not before"))

(defn [repeatable] check-feed-forward [make * [n-embd 6]]
  "(FeedForward n-embd): (B T C) -> (B T C), each position by itself, through 4 times the width."
  (setv layer (make n-embd)
        x     (torch.randn 2 3 n-embd)
        zero  (layer (torch.zeros-like x)))
  (check-position-wise layer n-embd)
  (must (same (layer x) (layer x)) "it should give the same each time when there is no dropout")
  (must (not (same (- (layer x) zero) (- zero (layer (- x)))))
        "it is linear: without a bend between them two linear layers are no more than one")
  (setv sizes (sorted (lfor  p (.parameters layer)  :if (> p.ndim 1)  (tuple p.shape))))
  (must (= sizes (sorted [#((* 4 n-embd) n-embd) #(n-embd (* 4 n-embd))]))
        "the middle should be 4 times as wide as the ends")
  (check-output-dropout make n-embd))

(defn [repeatable] check-residual [make]
  "(Residual layer): x + layer(x)."
  (setv x      (.requires-grad_ (torch.randn 2 3 4))
        before (.clone (.detach x))
        y      ((make (nn.Threshold 1e9 0.0)) x)          ; a layer that gives 0
        [g]    (torch.autograd.grad (.sum y) [x]))
  (must (torch.equal y x) "around a layer that gives 0 it should let x through as it is")
  (must (torch.equal g (torch.ones-like x))
        "the gradient does not come straight down: a deep stack would not learn")
  (must (same ((make (nn.Hardtanh)) (* 0.1 before)) (* 0.2 before))
        "the layer's output should be added to x, once")
  (setv shared (.clone before))
  ((make (nn.Tanh)) shared)
  (must (torch.equal shared before) "x itself was changed: (+ x y) makes a new tensor"))

(defn [repeatable] check-layer-norm [norm n-embd]
  "(B T C) -> (B T C): each position's channels brought to mean 0 and variance 1."
  (check-position-wise norm n-embd)
  (setv y (norm (+ 5 (* 3 (torch.randn 3 5 n-embd)))))
  (must (same (.mean y :dim -1) (torch.zeros 3 5))
        "the mean over the channels of a position should be 0")
  (must (torch.allclose (.var y :dim -1 :unbiased False) (torch.ones 3 5) :atol 1e-3)
        "the variance over the channels of a position should be 1"))

(defn [repeatable] check-pre-norm [make * [n-embd 8]]
  "(PreNorm n-embd layer): layer(norm(x))."
  (check-layer-norm (make n-embd (nn.Identity)) n-embd)
  (setv x (+ 5 (torch.randn 2 3 n-embd)))
  (must (same ((make n-embd (nn.Hardtanh)) x) (F.hardtanh (F.layer-norm x [n-embd])))
        "the layer should be given x normed; its output is not normed again"))

(defn [repeatable] check-block [make * [n-embd 8] [n-head 2]]
  "(Block n-embd n-head): x plus what attention finds, plus what feed-forward makes of that."
  (setv block (make n-embd n-head)
        x     (torch.randn 2 5 n-embd))
  (check-causal block n-embd)
  (sees-its-past block n-embd)
  (for [p (.parameters block)]
    (nn.init.zeros_ p))
  (must (torch.equal (block x) x)
        "with all weights 0 a block should let x through: both its layers add to x")
  (setv parts (lfor  layer (.modules (make n-embd n-head :dropout 0.3))
                     :if (isinstance layer nn.Dropout)
                     layer.p))
  (must (>= (len parts) 3)
        "dropout stands at three places: on the shares, after projection, after feed-forward")
  (must (= (set parts) #{0.3}) "the block's dropout does not reach all three places"))

(defn [repeatable] check-stack [stack]
  "(stack n make-layer): n layers, one upon the other, each with weights of its own."
  (setv layers (stack 3 (fn [] (nn.Linear 4 4)))
        x      (torch.randn 2 5 4)
        parts  (lfor  layer (.modules layers)  :if (isinstance layer nn.Linear)  layer)
        y      x)
  (must (= (len parts) 3) "3 layers share weights or are missing: call make-layer once for each")
  (for [layer parts]
    (setv y (layer y)))
  (must (same (layers x) y) "each layer should be given what the one before it made"))

(defn uses-dropout [make c]
  "Dropout reaches the model from its config C, and works only while it trains."
  (setv model (make c)
        ids   (torch.randint c.vocab-size #(2 6)))
  (must (not (torch.equal (model ids) (model ids)))
        "the config's dropout does nothing while training")
  (.eval model)
  (must (torch.equal (model ids) (model ids)) "dropout is active in eval mode"))

(defn [repeatable] check-gpt [make]
  "(GPT c): (B T) -> (B T V), causal, knowing places, for any length up to block-size."
  (setv c (GPTConfig :vocab-size 7 :block-size 6 :n-layer 2 :n-head 2 :n-embd 8)
        model (make c)
        count (sum (gfor  p (.parameters model)  (.numel p)))
        ;; tokens and places; 2 blocks: attention, feed-forward, 2 norms; last norm; lm-head
        block (+ (* 12 8 8) (* 10 8))
        right (+ (* 13 8) (* 2 block) 16 (* 9 7)))
  (for [length [1 3 6]]
    (check-causal-model model 7 :length length))
  (setv y (model (torch.zeros 1 6 :dtype torch.long)))
  (must (not (same (ncut y 0 1) (ncut y 0 5)))
        "the same tokens give the same logits at every place: positions are lost")
  (must (= count right) f"it has {count} weights, and this shape should have {right}")
  (uses-dropout make (replace c :dropout 0.3)))

(defn [repeatable] check-normal-init [init]
  "(init layer): weights of linear and embedding layers N(0, 0.02), biases 0, nothing else."
  (for [layer [(nn.Linear 200 300) (nn.Embedding 200 300) (nn.Linear 300 200 :bias False)]]
    (init layer)
    (setv w layer.weight)
    (must (< 0.0197 (.item (.std w)) 0.0203)
          f"the weights' standard deviation is {(.item (.std w)) :.4f} and should be 0.02")
    (must (< (abs (.item (.mean w))) 0.0005) "the weights' mean should be 0")
    (must (.any (> (abs w) 0.06))
          "no weight is further than 3 deviations from 0: it is no normal draw")
    (must (not (and (isinstance layer nn.Linear) (is-not layer.bias None) (.any (!= layer.bias 0))))
          "biases should start at 0"))
  (setv norm (nn.LayerNorm 8))
  (init norm)
  (must (torch.equal norm.weight (torch.ones 8))
        "a layer norm should start as it is, scaling by 1"))

(setv CHECKS
  {"CharTokenizer"      check-tokenizer
   "split"              check-split
   "windows"            check-windows
   "examples"           check-examples
   "draw-batch"         check-draw-batch
   "Bigram"             check-bigram
   "cross-entropy"      check-cross-entropy
   "next-logits"        check-next-logits
   "generate"           check-generate
   "train-step"         check-train-step
   "evaluate"           check-evaluate
   "causal"             check-causal-mask
   "average-loop"       check-average
   "average-matmul"     check-average
   "average-softmax"    check-average
   "average-cumulative" check-average
   "Embed"              check-embed
   "LanguageModel"      check-language-model
   "attention-weights"  check-attention-weights
   "attend"             check-attend
   "Head"               check-head
   "Heads"              check-heads
   "MultiHeadAttention" check-multi-head-attention
   "FeedForward"        check-feed-forward
   "Residual"           check-residual
   "PreNorm"            check-pre-norm
   "Block"              check-block
   "stack"              check-stack
   "GPT"                check-gpt
   "normal-init"        check-normal-init})
