"Step 8: self-attention. How much a token takes from each token of its past is
no longer fixed: it depends on both.

Each token sends out a query (what am I looking for?), a key (what do I have?)
and a value (what do I say to those who listen?). The score of a pair is the
dot product of the one's query with the other's key."

(eval-when-compile
  (require nanogpt-hy.notation [deflayer]))
(import  math [inf sqrt]
         torch.nn :as nn
         torch.nn.functional :as F
         nanogpt-hy.course.s06-average [causal])

(defn attention-weights [q k * [mask None]]
  "(... T D) (... S D) -> (... T S): how much each query takes from each key;
  every row sums to 1. Scores grow with the head size D. Divided by its root
  their spread stays near 1, and softmax stays soft."
  (setv D      (get q.shape -1)
        scores (/ (@ q (.transpose k -2 -1)) (sqrt D))              ; (... T S)
        scores (if (is mask None)
                 scores
                 (.masked-fill scores (bnot mask) (- inf))))
  (F.softmax scores :dim -1))

(defn attend [q k v * [mask None] [drop (fn [weights] weights)]]
  "(... T D) (... S D) (... S E) -> (... T E): the values, mixed by how well
  keys match queries. Without a mask every token talks to every other, as they
  may where nothing is to be guessed."
  (@ (drop (attention-weights q k :mask mask)) v))

(deflayer Head [n-embd head-size * [dropout 0.0]]
  "(B T C) -> (B T D): causal self-attention: queries, keys and values all come
  from the same x."
  [key   (nn.Linear n-embd head-size :bias False)
   query (nn.Linear n-embd head-size :bias False)
   value (nn.Linear n-embd head-size :bias False)
   drop  (nn.Dropout dropout)]          ; for the scaled-up model, see step 11
  (forward [self x]
    (attend (self.query x) (self.key x) (self.value x) :drop self.drop
            :mask (causal (get x.shape 1) :device x.device))))
