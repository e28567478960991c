"Wrong answers, each as somebody would write it, and what is to be said of it.

WRONG lists them: a name, the course's piece that it stands for (or a check that no piece has), the
wrong form, and words of the sentence with which the check should turn it down. Most of them train
well enough not to be noticed; some are right on nearly every input."

(eval-when-compile
  (require hyrule [-> ncut]
           nanogpt-hy.notation [deflayer]))
(import  math [inf sqrt]
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         nanogpt-hy.course [Block FeedForward GPT Head Heads LanguageModel MultiHeadAttention
                            attend causal cross-entropy draw-batch evaluate gpt-body next-logits
                            windows])

(setv WRONG [])

(defn wrong [name piece words]
  "A decorator: note the form under it as a wrong PIECE that a check turns down with WORDS."
  (defn note [form]
    (.append WRONG #(name piece form words))
    form)
  note)


;;; Tokens and batches

(defclass [(wrong "characters in order of appearance" "CharTokenizer" "sorted")]
          AppearanceTokenizer []
  (defn __init__ [self text]
    (setv self.chars (list (dict.fromkeys text))
          self.vocab-size (len self.chars)))
  (defn encode [self text]
    (lfor  c text  (.index self.chars c)))
  (defn decode [self ids]
    (.join "" (gfor  i ids  (get self.chars i)))))

(defclass SortedTokenizer []
  "The right form, for others to go wrong in one place."
  (defn __init__ [self text]
    (setv self.chars (sorted (set text))
          self.vocab-size (len self.chars)))
  (defn encode [self text]
    (lfor  c text  (.index self.chars c)))
  (defn decode [self ids]
    (.join "" (gfor  i ids  (get self.chars i)))))

(defclass [(wrong "a row more than characters" "CharTokenizer" "as many rows")] RoomyTokenizer
          [SortedTokenizer]
  (defn __init__ [self text]
    (.__init__ (super) text)
    (setv self.vocab-size (+ 1 self.vocab-size))))

(defclass [(wrong "newlines left out" "CharTokenizer" "each should become one")] LinelessTokenizer
          [SortedTokenizer]
  (defn encode [self text]
    (.encode (super) (.replace text "\n" ""))))

(defclass [(wrong "ids from 1 on" "CharTokenizer" "numbers of rows")] TokenizerFrom1
          [SortedTokenizer]
  (defn encode [self text]
    (lfor  id (.encode (super) text)  (+ id 1))))

(defclass [(wrong "ids from the end" "CharTokenizer" "its place among chars")] BackwardTokenizer
          [SortedTokenizer]
  (defn encode [self text]
    (lfor  id (.encode (super) text)  (- self.vocab-size id 1))))

(defclass [(wrong "blanks in between" "CharTokenizer" "does not undo")] BlankTokenizer
          [SortedTokenizer]
  (defn decode [self ids]
    (.join " " (.decode (super) ids))))

(defn [(wrong "split that shuffles" "split" "in order")] shuffled-split [ids]
  (setv n (int (* 0.9 (len ids)))
        mixed (get ids (torch.randperm (len ids))))
  [(cut mixed n) (cut mixed n None)])

(defn [(wrong "split whose parts overlap" "split" "in both parts")] overlapping-split [ids]
  (setv n (int (* 0.9 (len ids))))
  [(cut ids n) (cut ids (- n 10) None)])

(defn [(wrong "split in the middle" "split" "should be 90 %")] even-split [ids]
  (.chunk ids 2))

(defn [(wrong "targets are the inputs" "windows" "nothing to guess")] windows-same [ids starts T]
  (setv places (+ (ncut starts : None) (torch.arange T)))
  [(get ids places) (get ids places)])

(defn [(wrong "targets shifted backward" "windows" "backwards")] windows-back [ids starts T]
  (setv places (+ (ncut starts : None) (torch.arange T)))
  [(get ids places) (get ids (- places 1))])

(defn [(wrong "targets two later" "windows" "right after")] windows-skip [ids starts T]
  (setv places (+ (ncut starts : None) (torch.arange T) -1))
  [(get ids (+ places 1)) (get ids (% (+ places 3) (len ids)))])

(defn [(wrong "windows with a token too many" "windows" "x has the shape")] windows-long
      [ids starts T]
  (windows ids (- starts starts) (+ T 1)))

(defn [(wrong "windows from one later on" "windows" "from 0 on is not")] windows-late [ids starts T]
  (windows ids (% (+ starts 1) 30) T))

(defn [(wrong "no context of a single token" "examples" "examples, and here")] examples-late [x y]
  (lfor  t (range 1 (len x))  [(cut x (+ t 1)) (get y t)]))

(defn [(wrong "contexts without their last token" "examples" "even 1 token")] examples-short [x y]
  (lfor  t (range (len x))  [(cut x t) (get y t)]))

(defn [(wrong "contexts with their own last token" "examples" "not its target")] examples-same [x y]
  (lfor  t (range (len x))  [(cut x (+ t 1)) (get x t)]))

(defn [(wrong "last start forgotten" "draw-batch" "never drawn")] draw-batch-short
      [ids * batch-size block-size [generator None]]
  (setv starts (torch.randint (- (len ids) block-size 1) #(batch-size) :generator generator))
  (windows ids starts block-size))

(defn [(wrong "generator forgotten" "draw-batch" "default generator")] draw-batch-global
      [ids * batch-size block-size [generator None]]
  (draw-batch ids :batch-size batch-size :block-size block-size))

(defn [(wrong "a generator of its own" "draw-batch" "the second time")] draw-batch-own
      [ids * batch-size block-size [generator None] [own (torch.Generator)]]
  (draw-batch ids :batch-size batch-size :block-size block-size :generator own))

(defn [(wrong "always as many windows" "draw-batch" "x has the shape")] draw-batch-32
      [ids * batch-size block-size [generator None]]
  (draw-batch ids :batch-size 32 :block-size block-size :generator generator))

(defn [(wrong "tokens by themselves" "draw-batch" "follow each other")] draw-batch-scattered
      [ids * batch-size block-size [generator None]]
  (setv starts (torch.randint (- (len ids) 1) #(batch-size block-size) :generator generator))
  [(get ids starts) (get ids (+ starts 1))])

(defn [(wrong "early starts preferred" "draw-batch" "more often")] draw-batch-early
      [ids * batch-size block-size [generator None]]
  (setv starts (torch.randint (- (len ids) block-size) #(2 batch-size) :generator generator))
  (windows ids (.amin starts 0) block-size))


;;; The bigram, writing, learning

(deflayer NormedBigram [vocab-size]
  "Rows that are already log-probabilities."
  [table (nn.Embedding vocab-size vocab-size)]
  (forward [self ids]
    (F.log-softmax (self.table ids) :dim -1)))
((wrong "rows normalised in the model" "Bigram" "rows are logits") NormedBigram)

((wrong "a table of two parts" "Bigram" "is one table")
 (fn [vocab-size] (nn.Sequential (nn.Embedding vocab-size 4) (nn.Linear 4 vocab-size))))

(deflayer ChangedBigram [vocab-size change]
  "What CHANGE makes of the table's rows."
  [table  (nn.Embedding vocab-size vocab-size)
   change change]
  (forward [self ids]
    (self.change (self.table ids))))
((wrong "logits in one long row" "Bigram" "what the model gives has the shape")
 (fn [vocab-size] (ChangedBigram vocab-size (fn [y] (.flatten y 0 1)))))
((wrong "the logarithm of any numbers" "Bigram" "infinity for random tokens")
 (fn [vocab-size] (ChangedBigram vocab-size torch.log)))

(defn [(wrong "probabilities used as logits in the loss" "cross-entropy" "for logits")]
      twice-softmax [logits targets]
  (cross-entropy (F.softmax logits :dim -1) targets))

(defn [(wrong "loss of probabilities of the wrong axis" "cross-entropy" "should lose")] other-axis
      [logits targets]
  (F.nll-loss (-> logits (F.log-softmax :dim 1) (.flatten 0 1)) (.flatten targets)))

(defn [(wrong "a sum instead of a mean" "cross-entropy" "should lose ln 65")] summed-loss
      [logits targets]
  (* (.numel targets) (cross-entropy logits targets)))

(defn [(wrong "the first block-size tokens" "next-logits" "the last 3 tokens")] next-logits-first
      [model ids * [block-size 0]]
  (ncut (model (if block-size (ncut ids : (: block-size)) ids)) : -1))

(defn [(wrong "the first place's logits" "next-logits" "after the last token")] next-logits-place-0
      [model ids * [block-size 0]]
  (ncut (model (ncut ids : (: (- block-size) None))) : 0))

(defn [(wrong "no limit taken for one token" "next-logits" "no limit")] next-logits-blind
      [model ids * [block-size 0]]
  (next-logits model ids :block-size (or block-size 1)))

(defn generate-by [draw crops]
  "A generate that draws with DRAW, a function of logits and generator, and crops if told so."
  (defn [(torch.no-grad)] generate [model ids count * [block-size 0] [generator None]]
    (for [_ (range count)]
      (setv logits (next-logits model ids :block-size (if crops block-size 0))
            ids (torch.cat [ids (draw logits generator)] :dim 1)))
    ids)
  generate)

(defn drawn [logits generator]
  (torch.multinomial (F.softmax logits :dim -1) 1 :generator generator))

((wrong "no crop" "generate" "crop the context") (generate-by drawn False))
((wrong "probabilities used as logits when drawing" "generate" "not drawn with")
 (generate-by (fn [logits g] (drawn (F.softmax logits :dim -1) g)) True))
((wrong "always the likeliest" "generate" "not drawn with")
 (generate-by (fn [logits g] (.argmax logits :dim -1 :keepdim True)) True))
((wrong "generator forgotten in generate" "generate" "default generator")
 (generate-by (fn [logits g] (drawn logits None)) True))

(setv generate (generate-by drawn True))

(defn [(wrong "a token too few" "generate" "and 6 more, has the shape")] generate-fewer
      [model ids count #** options]
  (generate model ids (- count 1) #** options))

(defn [(wrong "the prompt at the end" "generate" "no longer at the beginning")] generate-turned
      [model ids count #** options]
  (.roll (generate model ids count #** options) count 1))

(defn [(wrong "at least one token" "generate" "0 more tokens")] generate-always
      [model ids count #** options]
  (generate model ids (max 1 count) #** options))

(defn learn [model optimizer batches * [clear True] [share None] [sign 1]]
  (when clear
    (.zero-grad optimizer))
  (setv losses (lfor  [x y] batches  (cross-entropy (model x) y))
        loss   (/ (sum losses) (or share (len batches))))
  (.backward (* sign loss))
  (.step optimizer)
  (.detach loss))

(defn [(wrong "gradients pile up" "train-step" "zero-grad")]
      piling-step [model optimizer #* batches]
  (learn model optimizer batches :clear False))

(defn [(wrong "batches added up" "train-step" "mean over the batches")] summing-step
      [model optimizer #* batches]
  (learn model optimizer batches :share 1))

(defn [(wrong "uphill" "train-step" "downhill")] uphill-step [model optimizer #* batches]
  (learn model optimizer batches :sign -1))

(defn [(wrong "the loss after the step" "train-step" "before the step")] late-step
      [model optimizer #* batches]
  (learn model optimizer batches)
  (.detach (/ (sum (gfor  [x y] batches  (cross-entropy (model x) y))) (len batches))))

(defn [(wrong "no step" "train-step" "nothing is learned")] idle-step [model optimizer #* batches]
  (setv losses (lfor  [x y] batches  (cross-entropy (model x) y)))
  (/ (sum losses) (len batches)))

(defn [(torch.no-grad)] mean-loss [model batches]
  (.mean (torch.stack (lfor  [x y] batches  (cross-entropy (model x) y)))))

((wrong "evaluate with dropout on" "evaluate" "dropout on") mean-loss)

(defn [(wrong "evaluate forgets to go back to training" "evaluate" "left in eval mode")] staying
      [model batches]
  (.eval model)
  (mean-loss model batches))

(defn [(wrong "evaluate that trains" "evaluate" "only look")] training-evaluate [model batches]
  (setv optimizer (torch.optim.SGD (.parameters model) :lr 0.1))
  (.eval model)
  (setv loss (learn model optimizer batches))
  (.train model)
  loss)

(defn [(wrong "evaluate that leaves gradients" "evaluate" "gradients behind")] gradient-evaluate
      [model batches]
  (.eval model)
  (for [[x y] batches]
    (.backward (cross-entropy (model x) y)))
  (.train model)
  (evaluate model batches))

(defn [(wrong "evaluate that keeps the graph" "evaluate" "use no-grad")]
      graph-evaluate [model batches]
  (.eval model)
  (setv losses (lfor  [x y] batches  (cross-entropy (model x) y)))
  (.train model)
  (.mean (torch.stack losses)))

(defn [(wrong "evaluate on one batch" "evaluate" "not the mean")] lazy-evaluate [model batches]
  (evaluate model (cut batches 1)))


;;; Averages and embeddings

(defn [(wrong "a mask that cannot see itself" "causal" "may not look")] strict-mask [T]
  (.tril (torch.ones T T :dtype torch.bool) :diagonal -1))

(defn [(wrong "a mask of the future" "causal" "may look at place 1")] triu-mask [T]
  (.triu (torch.ones T T :dtype torch.bool)))

((wrong "a mask with an axis for rows" "causal" "the mask has the shape")
 (fn [T] (ncut (causal T) None)))
((wrong "a mask of numbers" "causal" "true and false") (fn [T] (.float (causal T))))

(defn average-by [mask]
  "The average over what MASK, a function of T, lets each place see."
  (fn [x]
    (setv weights (.float (mask (get x.shape 1))))
    (@ (/ weights (.clamp (.sum weights :dim 1 :keepdim True) 1)) x)))

((wrong "average of the future" "average-matmul" "changes when a later") (average-by triu-mask))
((wrong "average of everything" "average-loop" "changes when a later")
 (average-by (fn [T] (torch.ones T T))))
((wrong "average without itself" "average-softmax" "does not hold the average")
 (average-by strict-mask))
((wrong "sum instead of average" "average-cumulative" "does not hold the average")
 (fn [x] (.cumsum x :dim 1)))
((wrong "average of the channels too" "average-loop" "the average has the shape")
 (fn [x] (.mean ((average-by causal) x) :dim 2 :keepdim True)))

(deflayer BatchPositions [vocab-size block-size n-embd]
  "Positions added along the batch."
  [token    (nn.Embedding vocab-size n-embd)
   position (nn.Embedding block-size n-embd)]
  (forward [self ids]
    (+ (self.token ids) (ncut (self.position (torch.arange (get ids.shape 0))) : None))))
((wrong "positions along the batch" "Embed" "along the batch") BatchPositions)

(deflayer NoPositions [vocab-size block-size n-embd]
  "No positions."
  [token (nn.Embedding vocab-size n-embd)]
  (forward [self ids]
    (self.token ids)))
((wrong "positions forgotten" "Embed" "positions are missing") NoPositions)

(deflayer ScalingPositions [vocab-size block-size n-embd]
  "Positions multiplied in."
  [token    (nn.Embedding vocab-size n-embd)
   position (nn.Embedding block-size n-embd)]
  (forward [self ids]
    (* (self.token ids) (self.position (torch.arange (get ids.shape 1))))))
((wrong "positions multiplied" "Embed" "depends on the row or the token") ScalingPositions)


;;; Attention: each way to weigh wrongly, by itself and within a head

(defn scores [q k]
  (/ (@ q (.transpose k -2 -1)) (sqrt (get q.shape -1))))

(defn masked [scores mask]
  "The scores, with -inf where MASK is false."
  (if (is mask None) scores (.masked-fill scores (bnot mask) (- inf))))

(defn weigh-zeros-masked [q k * [mask None]]
  "The triangle by tril, and then wherever a score is 0 it is taken to be masked."
  (setv cropped (if (is mask None) (scores q k) (* (scores q k) mask)))
  (F.softmax (if (is mask None) cropped (.masked-fill cropped (= cropped 0) (- inf))) :dim -1))

(defn weigh-other-axis [q k * [mask None]]
  (.nan-to-num (F.softmax (masked (scores q k) mask) :dim -2)))

(defn weigh-inverted [q k * [mask None]]
  (setv kept (if (is mask None) (scores q k) (.masked-fill (scores q k) mask (- inf))))
  (.nan-to-num (F.softmax kept :dim -1)))

(defn weigh-late-mask [q k * [mask None]]
  "Masked after softmax: the rest no longer sums to 1."
  (setv weights (F.softmax (scores q k) :dim -1))
  (if (is mask None) weights (* weights mask)))

(defn weigh-unscaled [q k * [mask None]]
  (F.softmax (masked (@ q (.transpose k -2 -1)) mask) :dim -1))

(defn weigh-too-scaled [q k * [mask None]]
  (F.softmax (masked (/ (@ q (.transpose k -2 -1)) (get q.shape -1)) mask) :dim -1))

(defn weigh [q k * [mask None]]
  (F.softmax (masked (scores q k) mask) :dim -1))

(defn [(wrong "shares that may be negative" "attention-weights" "share is negative")]
      weigh-stretched [q k * [mask None]]
  (setv weights (weigh q k :mask mask))
  (- (* 2 weights) (/ 1 (get k.shape -2))))

(defn [(wrong "keys unlike the query" "attention-weights" "not the dot products")] weigh-opposite
      [q k * [mask None]]
  (weigh (- q) k :mask mask))

(defn [(wrong "later keys preferred under a mask" "attention-weights" "equal shares")] weigh-late
      [q k * [mask None]]
  (setv late (if (is mask None) 0 (torch.arange (get k.shape -2))))
  (F.softmax (masked (+ (scores q k) late) mask) :dim -1))

(deflayer HeadWith [weigh mask n-embd head-size * [dropout 0.0]]
  "A head that weighs with WEIGH what MASK, a function of T, lets it see."
  [key   (nn.Linear n-embd head-size :bias False)
   query (nn.Linear n-embd head-size :bias False)
   value (nn.Linear n-embd head-size :bias False)
   weigh weigh
   mask  mask]
  (forward [self x]
    (@ (self.weigh (self.query x) (self.key x) :mask (self.mask (get x.shape 1)))
       (self.value x))))

(defn head-with [weigh [mask causal]]
  "What makes such heads."
  (fn [n-embd head-size #** options]
    (HeadWith weigh mask n-embd head-size #** options)))

(for [[name form words in-a-head] [
       ["mask from the scores' zeros" weigh-zeros-masked "where a score is 0" "where a score is 0"]
       ["softmax over the queries"    weigh-other-axis   "not sum to 1"       "when a later"]
       ["inverted boolean mask"       weigh-inverted     "masked key is"      "when a later"]
       ["mask after softmax"          weigh-late-mask    "not sum to 1"       "when a later"]
       ["no scaling"                  weigh-unscaled     "should be 1"        "are not divided"]
       ["scaled by the size itself"   weigh-too-scaled   "should be 1"        "is not softmax"]]]
  ((wrong name "attention-weights" words) form)
  ((wrong f"{name}, in a head" "Head" in-a-head) (head-with form)))

(defn first-sees-itself [T]
  "The strict mask, mended at the one place where it makes NaN."
  (setv mask (strict-mask T)
        (get mask #(0 0)) True)
  mask)

((wrong "cannot see itself" "Head" "may look at nothing") (head-with weigh strict-mask))
((wrong "cannot see itself, NaN hidden" "Head" "cannot see itself")
 (head-with weigh first-sees-itself))
((wrong "sees only the future" "Head" "changes when a later") (head-with weigh triu-mask))
((wrong "sees one token ahead" "Head" "changes when a later")
 (head-with weigh (fn [T] (.tril (torch.ones T T :dtype torch.bool) :diagonal 1))))
((wrong "sees only the last three" "Head" "all of its past")
 (head-with weigh (fn [T] (.triu (causal T) :diagonal -2))))

(defn [(wrong "scaled by n-embd" "Head" "divided by the root of n-embd")] lecture-head
      [n-embd head-size * [dropout 0.0]]
  (HeadWith (fn [q k * mask]
              (weigh (* q (sqrt (/ head-size n-embd))) k :mask mask))
            causal n-embd head-size))

(defn [(wrong "attention that knows places" "attend" "order")] attend-by-place [q k v * [mask None]]
  "Values weighed by place: right as long as nobody changes the order."
  (setv first (attend q k v :mask mask))
  (if (= q.shape k.shape) (+ first (* 0.1 (ncut (torch.arange (get v.shape -2)) : None))) first))

(defn [(wrong "query and key swapped" "attend" "instead of")] attend-swapped [q k v * [mask None]]
  (@ (weigh k q) (ncut v ... (: (get q.shape -2)) :)))

(defn [(wrong "attend without scaling" "attend" "not the values, mixed")] attend-unscaled
      [q k v * [mask None]]
  (@ (weigh-unscaled q k :mask mask) v))

(defn [(wrong "a head of full width" "Head" "what a head gives has the shape")] wide-head
      [n-embd head-size #** options]
  (Head n-embd n-embd #** options))

(defclass [(wrong "a bias in the keys" "Head" "without bias")] BiasedHead [Head]
  (defn __init__ [self n-embd head-size #** options]
    (.__init__ (super) n-embd head-size #** options)
    (setv self.key (nn.Linear n-embd head-size))))

(defclass [(wrong "only the last place" "Head" "became .*should stay")] LastHead [Head]
  (defn forward [self x]
    (ncut (.forward (super) x) : -1)))

(defclass [(wrong "learns from the future" "Head" "gradient from a later place")] SlyHead [Head]
  (defn forward [self x]
    (setv seen (.mean (self.value x) :dim 1 :keepdim True))
    (+ (.forward (super) x) (- seen (.detach seen)))))

(defn cut-up [x n-head]
  "(B T C) -> (B H T D), rightly."
  (-> x (.unflatten -1 #(n-head -1)) (.transpose 1 2)))

(defn attend-many [q k v n-head]
  "The right form: (B T C) (B T C) (B T C) -> (B T C), all heads in one product."
  (setv parts (lfor  x [q k v]  (cut-up x n-head)))
  (-> (attend #* parts :mask (causal (get q.shape 1)))
      (.transpose 1 2)
      (.flatten 2)))

(defn [(wrong "heads left apart" "many-heads" "together has the shape")] attend-apart [q k v n-head]
  (cut-up (attend-many q k v n-head) n-head))

(defn [(wrong "reshape without transpose" "many-heads" "one by one")] attend-reshaped
      [q k v n-head]
  "(B T C) -> (B H T D) by reshape alone: a head gets pieces of tokens. It is causal all the same."
  (setv parts (lfor  x [q k v]  (.reshape x (get x.shape 0) n-head (get x.shape 1) -1)))
  (.reshape (attend #* parts :mask (causal (get q.shape 1))) q.shape))

(defn [(wrong "no transpose on the way back" "many-heads" "changes when a later")]
      attend-no-way-back [q k v n-head]
  (setv parts (lfor  x [q k v]  (cut-up x n-head)))
  (.reshape (attend #* parts :mask (causal (get q.shape 1))) q.shape))

(defn [(wrong "heads take every n-th channel" "many-heads" "one by one")] attend-interleaved
      [q k v n-head]
  (setv parts (lfor  x [q k v]  (-> x (.unflatten -1 #(-1 n-head)) (.permute 0 3 1 2))))
  (-> (attend #* parts :mask (causal (get q.shape 1))) (.permute 0 2 3 1) (.flatten 2)))

(defclass [(wrong "heads averaged" "Heads" "instead of")] AveragedHeads [Heads]
  (defn forward [self x]
    (/ (sum (gfor  head self.heads  (head x))) (len self.heads))))

(defclass [(wrong "heads stacked between each other" "Heads" "should be what head")]
          MixedHeads [Heads]
  (defn forward [self x]
    (.flatten (torch.stack (lfor  head self.heads  (head x)) :dim -1) 2)))

(defn [(wrong "one head for many" "Heads" "1 heads instead of 3")] one-head [n-embd n-head]
  (Heads n-embd 1))

(defclass [(wrong "projection forgotten" "MultiHeadAttention" "not the projection")] Unprojected
          [MultiHeadAttention]
  (defn forward [self x]
    (self.heads x)))

(defclass [(wrong "projected to a head's size" "MultiHeadAttention" "the output has the shape")]
          NarrowAttention [MultiHeadAttention]
  (defn __init__ [self n-embd n-head #** options]
    (.__init__ (super) n-embd n-head #** options)
    (setv self.project (nn.Linear n-embd (// n-embd n-head)))))


;;; Feed-forward, blocks, the whole model

(defclass [(wrong "no bend" "FeedForward" "it is linear")] LinearForward [FeedForward]
  (defn forward [self x]
    (self.drop (self.narrow (self.widen x)))))

(defclass [(wrong "positions mixed" "FeedForward" "changes another place")]
          MixingForward [FeedForward]
  (defn forward [self x]
    (+ (.forward (super) x) (.mean x :dim 1 :keepdim True))))

(deflayer SleeplessForward [n-embd * [dropout 0.0]]
  "Dropout that never stops."
  [widen (nn.Linear n-embd (* 4 n-embd))
   narrow (nn.Linear (* 4 n-embd) n-embd)
   chance dropout]
  (forward [self x]
    (F.dropout (self.narrow (F.relu (self.widen x))) self.chance)))
((wrong "dropout active in eval" "FeedForward" "active in eval mode") SleeplessForward)

(defclass [(wrong "what dropout keeps is not enlarged" "FeedForward" "on average")] ShrinkingForward
          [FeedForward]
  (defn forward [self x]
    (setv y (.forward (super) x))
    (if self.training (* (- 1 self.drop.p) y) y)))

(defclass [(wrong "dropout inside instead of at the end" "FeedForward" "the last thing")]
          InnerDropout [FeedForward]
  (defn forward [self x]
    (self.narrow (self.drop (F.relu (self.widen x))))))

(defclass [(wrong "never narrowed again" "FeedForward" "the output has the shape")] WideForward
          [FeedForward]
  (defn forward [self x]
    (F.relu (self.widen x))))

(defclass [(wrong "twice the width" "FeedForward" "4 times as wide")] SlimForward [FeedForward]
  (defn __init__ [self n-embd #** options]
    (.__init__ (super) n-embd #** options)
    (setv self.widen  (nn.Linear n-embd (* 2 n-embd))
          self.narrow (nn.Linear (* 2 n-embd) n-embd))))

(defclass [(wrong "made smaller when all is kept" "FeedForward" "change nothing at all")]
          OldDropout [FeedForward]
  (defn forward [self x]
    (setv y (self.narrow (F.relu (self.widen x))))
    (* y (if self.training (.bernoulli (torch.full-like y (- 1 self.drop.p))) (- 1 self.drop.p)))))

(defn [(wrong "dropout forgotten" "FeedForward" "nothing is left out")] dry-forward
      [n-embd * [dropout 0.0]]
  (FeedForward n-embd))

(defclass [(wrong "noise for dropout" "attention-dropout" "whole number of shares")] NoisyHead
          [Head]
  (defn forward [self x]
    (setv shares (weigh (self.query x) (self.key x) :mask (causal (get x.shape 1))))
    (@ (if (and self.training self.drop.p) (* 2 shares (torch.rand-like shares)) shares)
       (self.value x))))

(defclass [(wrong "dropout on the scores" "attention-dropout" "on average")] ScoreDropout [Head]
  (defn forward [self x]
    (setv s (* (self.drop (torch.ones (get x.shape 0) (get x.shape 1) (get x.shape 1)))
               (scores (self.query x) (self.key x))))
    (@ (F.softmax (masked s (causal (get x.shape 1))) :dim -1) (self.value x))))

(defclass [(wrong "dropout on what the head says" "attention-dropout" "single channels")]
          VoiceDropout [Head]
  (defn forward [self x]
    (self.drop (attend (self.query x) (self.key x) (self.value x)
                       :mask (causal (get x.shape 1))))))

((wrong "residual without x" "Residual" "let x through") (fn [layer] layer))

(deflayer WrongResidual [layer change]
  "What CHANGE makes of x and the layer's output."
  [layer layer  change change]
  (forward [self x]
    (self.change x (self.layer x))))
((wrong "residual that adds x twice" "Residual" "let x through")
 (fn [layer] (WrongResidual layer (fn [x y] (+ x x y)))))
((wrong "residual cut from the gradient" "Residual" "straight way down|straight down")
 (fn [layer] (WrongResidual layer (fn [x y] (+ (.detach x) (* 0 x) y)))))
((wrong "residual that changes x" "Residual" "x itself was changed")
 (fn [layer] (WrongResidual layer (fn [x y] (if x.requires-grad (+ x y) (.add_ x y))))))
((wrong "residual that adds the layer twice" "Residual" "added to x, once")
 (fn [layer] (WrongResidual layer (fn [x y] (+ x y y)))))

(defn normed-over [#* dims]
  "A wrong PreNorm: mean and spread over DIMS of (B T C)."
  (fn [n-embd layer]
    (fn [x]
      (setv [spread mean] (torch.std-mean x :dim dims :keepdim True :correction 0))
      (layer (/ (- x mean) (+ spread 1e-5))))))

((wrong "layer norm over the text" "PreNorm" "changes another place") (normed-over 1))
((wrong "layer norm over the batch" "PreNorm" "changes another place") (normed-over 0))
((wrong "layer norm over text and channels" "PreNorm" "changes another place") (normed-over 1 2))
((wrong "no norm" "PreNorm" "mean over the channels") (fn [n-embd layer] layer))
((wrong "only the mean taken off" "PreNorm" "variance over the channels")
 (fn [n-embd layer] (fn [x] (layer (- x (.mean x :dim -1 :keepdim True))))))
((wrong "norm after the layer" "PreNorm" "normed again")
 (fn [n-embd layer] (nn.Sequential layer (nn.LayerNorm n-embd))))

(deflayer PostNormBlock [n-embd n-head * [dropout 0.0]]
  "The sum normed, as in the paper of 2017."
  [talk  (MultiHeadAttention n-embd n-head :dropout dropout)
   think (FeedForward n-embd :dropout dropout)
   norm  (nn.LayerNorm n-embd)]
  (forward [self x]
    (setv x (self.norm (+ x (self.talk x))))
    (self.norm (+ x (self.think x)))))
((wrong "norm after the sum" "Block" "let x through") PostNormBlock)

(defn [(wrong "block without dropout" "Block" "not reach")]
      dry-block [n-embd n-head * [dropout 0.0]]
  (Block n-embd n-head))

(defn [(wrong "one layer n times" "stack" "share weights")] shared-stack [n make-layer]
  (nn.Sequential #* (* [(make-layer)] n)))

(defclass [(wrong "the last layer first" "stack" "the one before it made")] FallingStack
          [nn.Sequential]
  (defn __init__ [self n make-layer]
    (.__init__ (super) #* (lfor  _ (range n)  (make-layer))))
  (defn forward [self x]
    (for [layer (reversed (list self))]
      (setv x (layer x)))
    x))

(defclass [(wrong "no positions in the model" "GPT" "positions are lost")] PlacelessGPT [GPT]
  (defn forward [self ids]
    (self.lm-head (self.body (self.embed.token ids)))))

(defclass [(wrong "the text read backwards" "GPT" "changes when a later")] MirrorGPT [GPT]
  (defn forward [self ids]
    (.flip (.forward (super) (.flip ids 1)) 1)))

(defclass [(wrong "sums up the future" "GPT" "gradient from a later|later token")] LeakyGPT [GPT]
  (defn forward [self ids]
    (setv x (self.embed ids))
    (self.lm-head (self.body (+ x (* 1e-3 (.mean x :dim 1 :keepdim True)))))))

(defclass [(wrong "a model that never stops dropping" "GPT" "active in eval mode")] SleeplessGPT
          [GPT]
  (defn __init__ [self c]
    (.__init__ (super) c)
    (setv self.chance c.dropout))
  (defn forward [self ids]
    (F.dropout (.forward (super) ids) self.chance)))

(defclass [(wrong "no last norm" "GPT" "weights, and this")] UnnormedGPT [LanguageModel]
  (defn __init__ [self c]
    (.__init__ (super) c (fn [c] (get (gpt-body c) 0)))))

(defclass [(wrong "body left out" "LanguageModel" "past the body")] Bodiless [LanguageModel]
  (defn forward [self ids]
    (self.lm-head (self.embed ids))))

(defn [(wrong "biases kept" "normal-init" "biases")] init-weights-only [layer]
  (when (isinstance layer #(nn.Linear nn.Embedding))
    (nn.init.normal_ layer.weight :std 0.02)))

(defn [(wrong "uniform instead of normal" "normal-init" "no normal draw")] init-uniform [layer]
  (when (isinstance layer #(nn.Linear nn.Embedding))
    (nn.init.uniform_ layer.weight (* -0.02 (sqrt 3)) (* 0.02 (sqrt 3)))
    (when (is-not (getattr layer "bias" None) None)
      (nn.init.zeros_ layer.bias))))

(defn [(wrong "variance for deviation" "normal-init" "standard deviation")] init-sharp [layer]
  (when (isinstance layer #(nn.Linear nn.Embedding))
    (nn.init.normal_ layer.weight :std (sqrt 0.02))))

(defn [(wrong "weights around 0.01" "normal-init" "mean should be 0")] init-aside [layer]
  (when (isinstance layer #(nn.Linear nn.Embedding))
    (nn.init.normal_ layer.weight :mean 0.01 :std 0.02)))

(defn [(wrong "layer norms drawn too" "normal-init" "layer norm should start")] init-norms [layer]
  (nn.init.normal_ layer.weight :std 0.02)
  (when (is-not (getattr layer "bias" None) None)
    (nn.init.zeros_ layer.bias)))
