"The checks of the exercises: those of the course's pieces, and some for what only lessons ask for."

(import  copy [deepcopy]
         dataclasses [replace]
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.course [FeedForward GPT MultiHeadAttention]
         nanogpt-hy.ladder [parameters-count]
         nanogpt-hy.lessons.checks [CHECKS]
         nanogpt-hy.lessons.checks.attention [check-attention-weights check-embed
                                                check-many-heads]
         nanogpt-hy.lessons.checks.basics [must must-be-shaped repeatable same]
         nanogpt-hy.lessons.checks.causality [check-causal check-position-wise sees-its-past]
         nanogpt-hy.lessons.checks.transformer [check-block check-feed-forward check-gpt])


;;; Lesson 7

(defn [repeatable] check-two-added [make]
  "Embed: as in the course, and it adds up rows of token and of position, and nothing else."
  (check-embed make)
  (setv embed (make 7 6 4)
        ids   (torch.randint 7 #(2 5)))
  (must (same (embed ids) (+ (embed.token ids) (embed.position (torch.arange 5))))
        "the output is not token(ids) + position(places), those two and nothing else"))


;;; Lesson 8

(defn must-multiply [weigh q k sentence]
  "CheckFailed with SENTENCE, if WEIGH cannot multiply queries and keys of these shapes."
  (try
    (weigh q k)
    (except [RuntimeError]
      (must False sentence))))

(defn check-all-sizes [weigh]
  "attention-weights, for two head sizes: dividing by 8 is right for one of them by chance."
  (must-multiply weigh (torch.zeros 2 5 8) (torch.zeros 2 7 8)
    (+ "queries of (2 5 8) and keys of (2 7 8) do not fit together: of the keys the last two axes, "
       "and no others, have to change places"))
  (must-multiply weigh (torch.zeros 2 3 5 8) (torch.zeros 2 3 7 8)
    "with one axis more, for several heads, they do not fit: count axes from the end, -2 and -1")
  (check-attention-weights weigh)
  (check-attention-weights weigh :size 256))


;;; Lesson 9

(defn [repeatable] check-heads-at-once [attend-many]
  "many-heads: first whether each head got its own channels of all tokens, then all the rest."
  (setv [q k v] (lfor  _ (range 3)  (torch.randn 2 5 6))
        split   (.get (getattr attend-many "__globals__" {}) "split_up"))
  (when split
    (must-be-shaped (split q 2) [2 2 5 3] "what split-up makes of (2 5 6) and 2 heads, (B H T D),"))
  (setv y       (attend-many q k v 2)
        halves  (zip #* (lfor  x [q k v]  (.chunk x 2 :dim -1)))
        alone   (lfor  parts halves  (F.scaled-dot-product-attention #* parts :is-causal True)))
  (must-be-shaped y [2 5 6] "what the heads give together")
  (must (same y (torch.cat alone :dim -1))
        (+ "two heads at once do not give what they give one by one: split the channels into (H D) "
           "first, then swap the axes T and H"))
  (check-many-heads attend-many))


;;; Lesson 10

(defn [repeatable] check-thought [make]
  "FeedForward: first that the bend stands in the middle, then all the rest."
  (setv layer (make 6)
        x     (torch.randn 2 3 6)
        y     (layer x))
  (check-position-wise layer 6)
  (must (not (same y (layer.narrow (layer.widen x))))
        "it is linear: without a bend between them two linear layers are no more than one")
  (must (same y (layer.narrow (F.relu (layer.widen x))))
        (+ "the output is not narrow(relu(widen(x))): the bend stands between the two layers, "
           "where there are four times as many channels, and nothing is added"))
  (check-feed-forward make))


;;; Lesson 11

(defn attention-of [model]
  "The MultiHeadAttention layers of MODEL, in order."
  (lfor  layer (.modules model)  :if (isinstance layer MultiHeadAttention)  layer))

(defn must-have-heads [model n-head]
  "CheckFailed unless each attention of MODEL has N-HEAD heads."
  (for [layer (attention-of model)]
    (setv count (len layer.heads.heads))
    (must (= count n-head) f"attention has {count} heads, and n-head is {n-head}")))

(defn [repeatable] check-whole-block [make]
  "Block: as in the course, and attention has n-head heads and is given x normed, and nothing but
  what it makes of that is added."
  (for [n-head [1 4]]
    (must-have-heads (make 8 n-head) n-head))
  (check-block make)
  (setv block (make 8 2)
        x     (torch.randn 2 5 8)
        large (+ 3 (* 10 x)))
  (for [layer (.modules block)  :if (isinstance layer FeedForward)  p (.parameters layer)]
    (nn.init.zeros_ p))                    ; what is left is x and what attention adds
  (must (torch.allclose (- (block large) large) (- (block x) x) :atol 1e-3)
        (+ "what attention adds depends on how large x is: give it x normed, then it sees only how "
           "the channels compare"))
  (for [talk (attention-of block)]
    (must (same (block x) (+ x (talk (F.layer-norm x [8]))))
          (+ "what is added to x is not what attention makes of x normed: the norm stands before "
             "attention, inside of the Residual, and nothing else does"))))


;;; Lesson 12

(defn [repeatable] check-whole-gpt [make]
  "GPT: as in the course, in more sizes: in one of them a wrong number fits by chance."
  (check-gpt make)
  (for [[n-layer n-head n-embd] [[1 4 8] [3 1 12]]]
    (setv c     (GPTConfig :vocab-size 5 :block-size 4
                           :n-layer n-layer :n-head n-head :n-embd n-embd)
          model (make c)
          count (parameters-count model)
          right (parameters-count (GPT c)))
    (must (= count right)
          (+ f"with n-layer {n-layer}, n-head {n-head} and n-embd {n-embd} it has {count} weights "
             f"instead of {right}: all three numbers come from c"))
    (must-have-heads model n-head)))


;;; Lesson 13

(defn [repeatable] check-cross-attention [make * [n-embd 8]]
  "(CrossAttention n-embd head-size): (B T C) (B S C) -> (B T D): x asks, memory answers."
  (setv layer  (make n-embd 4)
        x      (torch.randn 2 3 n-embd)
        memory (torch.randn 2 5 n-embd)
        y      (try
                 (layer x memory)
                 (except [RuntimeError]
                   (layer x (.narrow memory 1 0 3))      ; what fails with 3 too fails otherwise
                   (must False (+ "3 places cannot ask 5 others so: keys and values both come "
                                  "from memory, queries from x")))))
  (must-be-shaped y [2 3 4] "for 3 places that ask 5 others, what comes out")
  (must (not (same (layer x (* 2 memory)) y)) "what is in memory makes no difference")
  (must (not (same (layer (torch.randn 2 3 n-embd) memory) y))
        "what x asks makes no difference: the queries come from x")
  (setv turned (.flip memory 1))
  (must (same (layer x turned) y)
        "the order of memory makes a difference: is there a mask, or softmax over the wrong axis?")
  (for [s (range 5)]
    (setv changed (.clone memory)
          (get changed #((slice None) s)) (torch.randn 2 n-embd))
    (must (not (same (first-place (layer x changed)) (first-place y)))
          f"the first place of x cannot see place {s} of memory: all of it is known, no mask"))
  (setv moved (layer (torch.cat [x x] :dim 1) memory))
  (must (same (get moved #((slice None) (slice None 3))) y)
        "more places of x change what the first ones get: each asks memory for itself")
  (for [name ["key" "query" "value"]]
    (must (isinstance (getattr layer name None) nn.Linear)
          "key, query and value are linear layers, and parts with these names"))
  (must (same y (F.scaled-dot-product-attention (layer.query x) (layer.key memory)
                                                (layer.value memory)))
        (+ "this is not attend with queries from x, and keys and values from memory, divided by "
           "the root of the head size")))

(defn first-place [y]
  "(B T D) -> (B D): the first place."
  (get y #((slice None) 0)))


;;; Lesson 14

(defn [repeatable] check-freeze [freeze]
  "(freeze model): only lm-head still learns."
  (import nanogpt-hy.course [adamw train-step])
  (setv c (GPTConfig :vocab-size 5 :block-size 4 :n-layer 1 :n-head 1 :n-embd 4)
        model  (GPT c)
        before (deepcopy (.state-dict model))
        x      (torch.randint 5 #(3 4)))
  (freeze model)
  (must (any (gfor  p (.parameters model)  p.requires-grad))
        "nothing is left that can learn: lm-head should")
  (setv adam (adamw model :learning-rate 0.1))
  (for [_ (range 3)]
    (train-step model adam [x (% (+ x 1) 5)]))
  (for [[name weights] (.items (.state-dict model))]
    (setv changed (not (torch.equal weights (get before name))))
    (if (.startswith name "lm_head")
        (must changed f"{(.replace name "_" "-")} did not learn, the one part that should")
        (must (not changed)
              (+ f"{(.replace name "_" "-")} learned too: no weight outside of lm-head should have "
                 "requires-grad")))))


;;; Lesson 15

(defn deep-gradient [make c]
  "How large the gradient is that reaches the input of a body 30 layers deep, for an output's of 1."
  (setv body (make c)
        x    (.requires-grad_ (torch.randn 1 4 c.n-embd))
        [g]  (torch.autograd.grad (.sum (* (body x) (torch.randn 1 4 c.n-embd))) [x]))
  (.item (.mean (.abs g))))

(defn [repeatable] check-deep [make]
  "(deep-body c): n-layer times talking and thinking, each of which adds to x."
  (setv c (GPTConfig :vocab-size 5 :block-size 8 :n-layer 3 :n-head 2 :n-embd 8)
        body (make c))
  (check-causal body 8)
  (sees-its-past body 8)
  (must-have-heads body c.n-head)
  (setv seen (parameters-count body))
  (must (= seen (parameters-count (make c)))
        "two bodies of one config differ in size")
  (must (> (parameters-count (make (replace c :n-layer 6))) (* 1.9 seen))
        "twice the layers should be twice the weights: does n-layer count, and is each layer new?")
  (setv reached (deep-gradient make (replace c :n-layer 30)))
  (must (> reached 0.1)
        (+ f"30 blocks deep, only {reached :.1g} of the gradient reaches the input: what is below "
           "cannot learn. Let each layer add to x"))
  (for [p (.parameters body)]
    (nn.init.zeros_ p))
  (setv x (torch.randn 2 4 8))
  (must (same (body x) x)
        "with all weights 0 the body should let x through: both layers of a block add to it"))


;;; Lesson 16

(defn check-ab-table [table]
  "(ab-table stay) -> (3 3): logits of what follows a newline, an a and a b, in this order."
  (for [stay [0.25 0.5 0.9]]
    (setv logits (torch.as-tensor (table stay) :dtype torch.float))
    (must-be-shaped logits [3 3] "the table")
    (must (not (.any (torch.isnan logits))) "the table holds NaN")
    (setv p (F.softmax logits :dim -1))
    (setv after-a (get logits 1))
    (must (not (and (.all (>= after-a 0))
                    (or (< 0.999 (.item (.sum after-a)) 1.001)
                        (< 0.999 (.item (.sum (cut after-a 1 None))) 1.001))))
          (+ "the row of a looks like probabilities, and softmax is still to come: rows are "
             "logits, so write the logarithm of what you want"))
    (must (< (.item (get p #(0 0))) 1e-6) "after a newline comes a line, not another newline")
    (must (torch.allclose (cut (get p 0) 1 None) (torch.tensor [0.5 0.5]) :atol 1e-4)
          "a line begins with a or b, each half of the time")
    (must (< (.item (get p #(2 1))) 1e-6) "a b is never followed by an a")
    (setv share (.item (/ (get p #(1 1)) (+ (get p #(1 1)) (get p #(1 2))))))
    (must (< (abs (- share stay)) 1e-4)
          (+ f"with stay {stay}, of what follows an a and is no newline, {stay} should be a, and "
             f"{share :.4g} is"))
    (for [row [1 2]]
      (must (< 1e-12 (.item (get p #(row 0))) 0.999)
            "a line ends some time: a newline needs a chance after a and after b"))))


(setv EXERCISE-CHECKS
  {#** CHECKS
   "Embed"             check-two-added
   "attention-weights" check-all-sizes
   "many-heads"        check-heads-at-once
   "FeedForward"       check-thought
   "Block"             check-whole-block
   "GPT"               check-whole-gpt
   "CrossAttention"    check-cross-attention
   "freeze"            check-freeze
   "deep-body"         check-deep
   "ab-table"          check-ab-table})
