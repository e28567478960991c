"Step 6: the simplest way for tokens to talk: each takes the average of the
past, itself included.

A token may look backwards only, for what comes after it is what it has to
guess. Here are four ways to write that average, and they are equal. The third
is how attention does it."

(eval-when-compile
  (require hyrule [ncut]))
(import  math [inf]
         torch
         torch.nn.functional :as F)

(defn causal [T * [device None]]
  "-> (T T): true where row t may look at column s, that is, where s <= t."
  (.tril (torch.ones T T :dtype torch.bool :device device)))

(defn average-loop [x]
  "(B T C) -> (B T C): as the definition says it, a position at a time."
  (torch.stack (lfor  t (range (get x.shape 1))
                 (.mean (ncut x : (: (+ t 1))) :dim 1))                 ; (B C)
               :dim 1))

(defn average-matmul [x]
  "(B T C) -> (B T C): a lower triangle of ones, each row divided by its sum,
  times x."
  (setv weights (.float (causal (get x.shape 1)))                      ; (T T)
        weights (/ weights (.sum weights :dim 1 :keepdim True)))
  (@ weights x))

(defn average-softmax [x]
  "(B T C) -> (B T C): all scores are 0 and the future's are -inf, so softmax
  gives each row equal parts of the past. When the scores are no longer all 0
  but say how interesting a token is, this is attention."
  (setv T (get x.shape 1)
        future (bnot (causal T))
        scores (.masked-fill (torch.zeros T T) future (- inf)))         ; (T T)
  (@ (F.softmax scores :dim -1) x))

(defn average-cumulative [x]
  "(B T C) -> (B T C): running sums, each divided by how many tokens are in it."
  (setv counts (torch.arange 1 (+ 1 (get x.shape 1))))                   ; (T)
  (/ (.cumsum x :dim 1) (ncut counts : None)))
