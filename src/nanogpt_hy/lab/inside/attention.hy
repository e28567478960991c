"Who looks at whom: the attention weights of every layer and head, as the model really used them.

The course is not changed for it. While the model reads the prompt, hooks note what goes into and
comes out of its parts; from queries and keys so noted the course's own `attention-weights` gives
the weights. That they are the right ones is checked each time: mixed with these weights, the values
have to be what the layer gave."

(eval-when-compile
  (require hyrule [unless]))
(import  contextlib [contextmanager]
         math [sqrt]
         torch
         nanogpt-hy.course [attention-weights causal Head Heads]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.fast :as fast
         nanogpt-hy.lab.inside.subject [labels logits-of prompt-ids shown subject]
         nanogpt-hy.ladder [Average])

(setv MOST 4,000,000)      ; weights in all: more nobody can look at

(setv QUESTION (+ "Each row is a token, and shares 100 % among itself and the tokens before it. "
                  "Where does most of it go: to one place, to the token before, to one kind of "
                  "token?"))

(defn [contextmanager] noted [model]
  "Within, a dict that takes for each part of MODEL #(its first input, its output) as it runs."
  (setv seen {})
  (defn note [part inputs output]
    (setv (get seen part) #((get inputs 0) output)))
  ;; Hooks run in the order in which they came: these see what the ladder's slip made of a query.
  (setv hooks (lfor  part (.modules model)  (.register-forward-hook part note)))
  (try
    (yield seen)
    (finally
      (for [hook hooks]
        (.remove hook)))))

(defn talkers [model]
  "model -> [#(name parts)]: its layers in which tokens talk, each with the parts that hold heads."
  (setv inside (sfor  group (.modules model)  :if (isinstance group Heads)
                      head group.heads
                      head)
        found [])
  (for [[name part] (.named-modules model)]
    (cond
      (isinstance part Heads)
        (.append found #(name (list part.heads)))
      (and (isinstance part #(Head Average fast.Attention)) (not-in part inside))
        (.append found #(name [part]))))
  found)

(defn projections [part seen]
  "part -> (H T D) x 4, number: its heads' queries, keys and values, what they really gave, and by
  what root they divide scores."
  (setv output (fn [layer] (get (get seen layer) 1))
        split  (fn [x] (get (part.split-heads x) 0)))
  (cond
    (isinstance part Head)
      (do (setv [q k v given] (map output [part.query part.key part.value part]))
          [q k v given (sqrt (get q.shape -1))])
    (isinstance part Average)             ; as if all scores were 0
      (do (setv [v given] (get seen part)
                zeros     (torch.zeros-like v))
          [zeros zeros v given 1])
    True
      (do (setv [q k v] (map split (.chunk (output part.c-attn) 3 :dim -1))
                given   (split (get (get seen part.c-proj) 0)))
          [q k v given (if part.scale (/ 1 part.scale) (sqrt (get q.shape -1)))])))

(defn weights-of [part seen]
  "part -> (H T T) (H T D) (H T D): its weights, the values mixed by them, and what it really gave."
  (setv [q k v given root] (projections part seen)
        [T D]   (cut q.shape -2 None)
        q       (* q (/ (sqrt D) root))      ; attention-weights divides by sqrt(D) in any case
        weights (attention-weights q k :mask (causal T :device q.device)))
  [weights (@ weights v) given])

(defn [(torch.no-grad)] followed [name parts seen]
  "parts of the layer NAME -> (H T T): their weights, found to be those that were used."
  (setv all-weights [])
  (for [part parts]
    (setv [weights mixed given] (weights-of part seen))
    (unless (torch.allclose mixed given :rtol 1e-3 :atol (* 1e-4 (+ 1 (float (.max (.abs given))))))
      (raise (WorkError (+ f"the layer {name} does not give its values mixed by its weights, so it "
                           "does something else too: its attention cannot be shown"))))
    (.append all-weights weights))
  (torch.cat all-weights))

(defn pick [things number what]
  "list, a number from 1 or None -> pairs of number and thing: that one, or all."
  (unless (or (is number None) (<= 1 number (len things)))
    (raise (RequestError (+ f"--{what} is {number} and the model has {(len things)}, counted from "
                            "1: use one of them, or leave it out for all"))))
  (lfor  [n thing] (enumerate things 1)  :if (in number [None n])  [n thing]))

(defn attention [model prompt * [tokenizer None] [layer None] [head None]]
  "model, str -> dict: for each layer and head, counted from 1, the T rows of T weights with which
  the tokens of PROMPT look at each other. MODEL: what `subject` takes."
  (setv about (subject model tokenizer)
        groups (talkers about.model)
        [ids cut-off] (prompt-ids about prompt)
        text (labels about.tokenizer ids))
  (unless groups
    (raise (RequestError (+ f"{about.name} has no attention that is known here: use a stage from "
                            "average on, or layers made of the course's Head"))))
  (setv chosen (pick groups layer "layer"))
  (with [seen (noted about.model)]
    (logits-of about [ids]))
  (setv layers []
        room   MOST)
  (for [[n [name parts]] chosen]
    (setv heads (pick (list (followed name parts seen)) head "head")
          room  (- room (* (len heads) (len ids) (len ids))))
    (when (< room 0)
      (raise (RequestError (+ f"{(len ids)} tokens make more than {MOST :,} weights in all: use a "
                              "shorter --prompt, or one --layer and --head"))))
    (.append layers {"layer" n  "name" name
                     "heads" (lfor  [h w] heads  {"head" h  "weights" (.tolist w)})}))
  {"kind" "attention"  "question" QUESTION  "prompt" (shown prompt)
   "left_out" cut-off  "tokens" text  "layers" layers})
