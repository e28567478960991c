"No output may depend on what comes later: what every model of the course has to keep to."

(eval-when-compile
  (require hyrule [ncut]))
(import  torch
         torch.nn :as nn
         nanogpt-hy.lessons.checks.basics [must must-be-finite must-be-shaped repeatable])

(defn until [x t]
  "(B T …) -> (B t+1 …): places 0 to t, t included."
  (ncut x : (: (+ t 1))))

(defn future-is-unseen [model x another]
  "No output changes when what comes after it is ANOTHER; bit by bit."
  (setv y (model x))
  (must (torch.equal (model x) y)
        (+ "called twice with the same x it gives two different outputs: does something drop out "
           "that should not, or is a layer made anew at each call?"))
  (for [t (range (- (get x.shape 1) 1))]
    (setv changed (torch.cat [(until x t) (ncut another : (: (+ t 1) None))] :dim 1))
    (must (torch.equal (until (model changed) t) (until y t))
          (+ f"the output at place {t} changes when a later token does: it looks at what it has "
             "to guess, so it would do well in training and could not write"))))

(defn gradients-at [y t inputs]
  "The gradients of a random mixture of Y (B T C) at place t; a plain sum would be blind to norms."
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
        hooks (lfor  layer (.modules model)
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
