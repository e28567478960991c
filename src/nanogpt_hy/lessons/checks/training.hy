"Steps 3 to 5: the bigram model, writing with a model, learning and evaluating."

(eval-when-compile
  (require hyrule [ncut]
           nanogpt-hy.notation [deflayer]))
(import  copy [deepcopy]
         math [log]
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         nanogpt-hy.lessons.checks.basics [chi-square generator must must-be-shaped repeatable
                                           same uses-own-generator]
         nanogpt-hy.lessons.checks.causality [check-causal-model])


;;; Step 3: the bigram model and its loss

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
        (+ f"a guess among {vocab-size} tokens should lose ln {vocab-size} = "
           f"{(log vocab-size) :.4f}, and loses {(.item guess) :.4f}"))
  (setv lost (.item (cross-entropy sure targets)))
  (must (< lost 1e-4)
        (+ f"a model that is sure and right should lose 0, and loses {lost :.4f}: are "
           "probabilities taken for logits?"))
  (must (same (cross-entropy logits targets) by-hand)
        "the loss is not the mean of -ln of the probability that the target was given"))


;;; Step 4: writing

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
        model  (Table (torch.randn 3 3)))
  (for [block-size [4 2]]
    (.clear model.seen)
    (setv out (generate model prompt 6 :block-size block-size :generator (generator 1)))
    (must-be-shaped out [2 9] "the text, 3 tokens and 6 more,")
    (must (torch.equal (ncut out : :3) prompt) "the prompt is no longer at the beginning")
    (for [[end seen] (enumerate model.seen 3)]
      (must (<= (get seen.shape 1) block-size)
            (+ f"with block-size {block-size} the model was shown {(get seen.shape 1)} tokens: "
               "crop the context, for it has no positions beyond block-size"))
      (must (torch.equal seen (ncut out : (: (max 0 (- end block-size)) end)))
            "the model is not shown the last tokens of what has been written so far")))
  (check-no-limit generate model prompt)
  (must (torch.equal (generate model prompt 0) prompt) "0 more tokens should be the prompt alone"))

(defn check-no-limit [generate model prompt]
  "With block-size 0 the model sees all that has been written so far."
  (.clear model.seen)
  (try
    (setv out (generate model prompt 6))
    (except [IndexError]
      (must False "with block-size 0 the model is shown nothing: 0 means no limit, so all tokens")))
  (for [[end seen] (enumerate model.seen 3)]
    (must (torch.equal seen (ncut out : (: end)))
          (+ f"with block-size 0 the model was shown {(get seen.shape 1)} of {end} tokens: 0 means "
             "no limit, so all of them"))))

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


;;; Step 5: learning

(defn little-model [vocab-size * [dropout 0.0]]
  "Something small that learns, for the checks of what trains it."
  (nn.Sequential (nn.Embedding vocab-size 8) (nn.Dropout dropout) (nn.Linear 8 vocab-size)))

(defn plain-loss [model x y]
  "The mean loss over a batch, from torch itself."
  (F.cross-entropy (.flatten (model x) 0 1) (.flatten y)))

(defn weights [model]
  "All weights of MODEL in one tensor, as they are now."
  (torch.cat (lfor  p (.parameters model)  (.flatten (.clone (.detach p))))))

(defn change [train-step model #* batches]
  "How one step of plain gradient descent changes the weights of MODEL, which are then set back."
  (setv state  (deepcopy (.state-dict model))
        before (weights model))
  (train-step model (torch.optim.SGD (.parameters model) :lr 1.0) #* batches)
  (setv after (weights model))
  (.load-state-dict model state)
  (- after before))

(defn step-is-one-gradient [train-step model x y]
  "A step follows its own batches' mean gradient, whatever came before."
  (change train-step model [x y])
  (setv once (change train-step model [x y]))
  (must (same (change train-step model [x y]) once)
        "gradients of earlier steps are still there: empty them before each step (zero-grad)")
  (must (same (change train-step model #* (zip (.chunk x 3) (.chunk y 3))) once)
        (+ "three thirds of a batch do not give the gradient of the whole: the mean over the "
           "batches is wanted, so that several small ones act as a large one")))

(defn [repeatable] check-train-step [train-step]
  "(train-step model optimizer #* batches): a step down the mean loss; gives the loss before it."
  (setv model  (little-model 5)
        x      (torch.randint 5 #(6 4))
        y      (% (+ x 1) 5)
        adam   (torch.optim.AdamW (.parameters model) :lr 0.05)
        before (.item (plain-loss model x y))
        start  (weights model)
        given  (train-step model adam [x y])
        said   (.item given))
  (must (not (torch.equal (weights model) start)) "the weights did not change: nothing is learned")
  (must (< (abs (- said before)) 1e-5)
        f"the loss before the step is {before :.4f}, and {said :.4f} was given")
  (must (not given.requires-grad)
        "the loss that is given still holds what it was computed from, which takes memory: .detach")
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
  (must (all (gfor  p (.parameters model)  (is p.grad None)))
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
        batches (lfor  _ (range 3)  [(torch.randint 5 #(6 4)) (torch.randint 5 #(6 4))]))
  (.eval model)
  (setv losses (lfor  [x y] batches  (.detach (plain-loss model x y))))
  (.train model)
  (setv said (leaves-all-alone model (fn [] (evaluate model batches))))
  (must (same said (.mean (torch.stack losses)))
        "this is not the mean of the batches' losses in eval mode, where dropout is off")
  (must (all (gfor  layer (.modules model)  layer.training))
        "the model is left in eval mode: it would go on to train without dropout"))
