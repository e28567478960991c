"Steps 6 to 9: averages of the past, embeddings, one head, many heads."

(eval-when-compile
  (require hyrule [ncut]))
(import  math [sqrt]
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.lessons.checks.basics [must must-be-shaped repeatable same]
         nanogpt-hy.lessons.checks.causality [check-causal check-causal-model sees-its-past]
         nanogpt-hy.lessons.checks.dropout [check-output-dropout])


;;; Step 6: averages

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


;;; Step 7: embeddings

(defn [repeatable] check-embed [make]
  "(Embed V block-size C): (B T) -> (B T C), a vector for the token plus one for the place."
  (setv embed (make 7 6 4))
  (for [[batch length] [[2 5] [6 6] [5 2] [1 1]]]      ; also where a wrong axis would fit
    (setv ids (torch.randint 7 #(batch length)))
    (must-be-shaped (embed ids) [batch length 4] f"{batch} rows of {length} ids: the output"))
  (setv ids (.expand (ncut (torch.arange 6) : None) 6 6)         ; row b holds 6 times token b
        y   (embed ids))
  (must (not (same (ncut y 0 0) (ncut y 0 1)))
        (+ "the same token has the same vector at two places: positions are missing, or added "
           "along the batch instead of along the text"))
  (must (same (- (ncut y : :1) y) (.expand-as (- (ncut y :1 :1) (ncut y :1)) y))
        (+ "what a place adds depends on the row or the token: it should be the same vector for "
           "all that stands at that place"))
  (must (same (embed (ncut ids : :3)) (ncut y : :3))
        (+ "in a shorter text the same place has another vector: places are 0, 1, 2, whatever "
           "follows")))

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


;;; Step 8: one head

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
  (must (not (same weights (F.softmax (F.softmax (scaled-scores q k size) :dim -1) :dim -1)))
        "softmax comes twice: here only the scores are wanted")
  (must (not (same weights (F.softmax (* size (scaled-scores q k size)) :dim -1)))
        "the dot products are multiplied by the root of the head size: divide by it")
  (setv spread (.item (.mean (.var (.log weights) :dim -1))))      ; a logit less a constant
  (must (< 0.8 spread 1.25)
        (+ f"for queries and keys of variance 1 the scores' variance is {spread :.2f} and should "
           "be 1: divide by the root of the head size, no more and no less"))
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

(defn plain-attention [q k v size]
  "(B T D) x 3 -> (B T D): causal attention, its scores divided by the root of SIZE."
  (setv scores (.masked-fill (scaled-scores q k size) (bnot (past-only (get q.shape 1))) -1e30))
  (@ (F.softmax scores :dim -1) v))

(defn plain-head [head x size]
  "What a causal head with these weights gives, when its scores are divided by the root of SIZE."
  (plain-attention (head.query x) (head.key x) (head.value x) size))

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
  (must (all (gfor  layer [head.key head.query head.value]  (is layer.bias None)))
        "key, query and value are linear layers without bias")
  (must (not (same (head x) (plain-head head x n-embd)))
        (+ "the scores are divided by the root of n-embd: they are sums over the head size, so "
           "it is the head size that makes them large"))
  (must (not (same (head x) (plain-head head x 1)))
        "the scores are not divided by the root of the head size: softmax gets too hard")
  (must (same (head x) (plain-head head x head-size))
        "this is not softmax(q k / root of the head size), the future masked, times the values")
  (listens-evenly head n-embd))


;;; Step 9: many heads

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
    (setv parts (zip #* (lfor  x [q k v]  (.chunk x n-head :dim -1)))
          alone (lfor  part parts  (plain-attention #* part (// 6 n-head))))
    (must (same y (torch.cat alone :dim -1))
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
