"A small model as a finite-state machine: its states are all the contexts it can have.

With a vocabulary of V and a block size of T there are V^T contexts, and the shorter ones with which
a text begins. After each the model gives the next token's probabilities, and the token leads to the
next context: a Markov chain, of which everything can be computed. The idea is Andrej Karpathy's
(the baby GPT: see baby.hy)."

(eval-when-compile
  (require hyrule [ncut unless]))
(import  itertools [product]
         math [log]
         numpy :as np
         torch
         torch.nn.functional :as F
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.data.markov [entropy]
         nanogpt-hy.lab.inside.subject [alphabet labels logits-of subject vocab-size])

(setv MOST-STATES 2048)      ; full contexts: as many can be computed with in seconds

(defn check-size [V T name]
  "RequestError where there are more contexts than can be computed with."
  (when (> (* T (log V)) (log MOST-STATES))
    (setv largest (int (+ 1e-9 (/ (log MOST-STATES) (log V))))
          way-out (if largest f"train one with --block-size {largest} or less, or " ""))
    (raise (RequestError (+ f"{name} has {V} tokens and block size {T}: {V}^{T} contexts are more "
                            f"than the {MOST-STATES :,} that a machine may have: {way-out}"
                            "see --baby")))))

(defn contexts-of [V T]
  "ints -> [(N t)]: for each length t from 1 to T all V^t contexts, in order."
  (lfor  t (range 1 (+ T 1))  (torch.tensor (list (product (range V) :repeat t)))))

(defn asked [about contexts]
  "[(n t)] -> (N V): the probabilities of what comes next, in double precision."
  (setv p (.numpy (torch.cat (lfor  of-length contexts
                                    some (.split of-length 1024)
                                    (F.softmax (.double (ncut (logits-of about some) : -1))
                                               :dim -1)))))
  (unless (.all (np.isfinite p))
    (raise (WorkError "the model gives no probabilities, its weights are not finite: use another")))
  p)

(defn successors [V T]
  "ints -> (N V): the number of the state to which each token leads from each state."
  (setv first 0
        out [])
  (for [t (range 1 (+ T 1))]
    (setv places (np.arange (** V t))                                        ; base V, so to say
          after  (+ (* V (ncut places : None)) (np.arange V)))               ; (V^t V)
    (.append out (if (< t T)
                   (+ first (** V t) after)
                   (+ first (% after (** V T)))))
    (setv first (+ first (** V t))))
  (np.concatenate out))

(defn transition-matrix [p to]
  "(N V) (N V) -> (N N): row i has the probabilities of going from state i to each other."
  (setv out (np.zeros #((len p) (len p))))
  (np.add.at out #((ncut (np.arange (len p)) : None) to) p)
  out)

;;; In the long run

(defn by-elimination [matrix]
  "(N N) -> (N) or None: where a chain is in the long run, its states eliminated one by one. Nothing
  is subtracted, so small probabilities stay exact (Grassmann, Taksar and Heyman 1985).
  None if the chain falls apart."
  (setv a (.copy matrix)
        N (len a))
  (for [n (range (- N 1) 0 -1)]
    (setv total (.sum (ncut a n (: n))))
    (unless (> total 0)
      (return None))
    (setv (get a #((slice n) n)) (/ (ncut a (: n) n) total))
    (setv (get a #((slice n) (slice n)))
          (+ (ncut a (: n) (: n)) (np.outer (ncut a (: n) n) (ncut a n (: n))))))
  (setv out (np.zeros N)
        (get out 0) 1.0)
  (for [n (range 1 N)]
    (setv (get out n) (@ (cut out n) (ncut a (: n) n))))
  (/ out (.sum out)))

(defn by-doubling [matrix start]
  "(N N) (N) -> (N): where a chain is in the long run from START, also one that falls apart: it may
  rest at each step, and the number of steps is doubled 60 times."
  (setv a (/ (+ matrix (np.eye (len matrix))) 2))
  (for [_ (range 60)]
    (setv a (@ a a)
          a (/ a (.sum a :axis 1 :keepdims True))))
  (@ start a))

(defn long-run [p to V T]
  "(N V) (N V) -> (N): how often each state comes; the shorter contexts come only once, so never."
  (setv full   (** V T)
        first  (- (len p) full)
        matrix (transition-matrix (cut p first None) (- (cut to first None) first))
        out    (by-elimination matrix))
  (when (is out None)
    (setv out (by-doubling matrix (/ (np.ones full) full))))
  (np.concatenate [(np.zeros first) out]))

;;; States that behave alike

(defn merged [p to tolerance]
  "(N V) (N V) -> (N): a group number for each state. States of a group give the same probabilities,
  within the tolerance, and each token leads them into the same group. What comes with no more than
  the tolerance leads nowhere that counts."
  (setv leaders (np.zeros 0 int)
        group   (np.zeros (len p) int))
  (for [[i row] (enumerate p)]
    (setv far  (.max (np.abs (- (get p leaders) row)) :axis 1 :initial 0)
          near (.flatnonzero np (<= far tolerance)))
    (unless (len near)
      (setv leaders (np.append leaders i)))
    (setv (get group i) (if (len near) (get near 0) (- (len leaders) 1))))
  ;; As in Moore's minimization: groups are divided until nothing is left to divide.
  (while True
    (setv count (+ 1 (.max group))
          means (np.stack (lfor  g (range count)  (.mean (get p (= group g)) :axis 0)))
          leads (np.where (> (get means group) tolerance) (get group to) -1)     ; (N V)
          finer (first-seen (np.concatenate [(ncut group : None) leads] :axis 1)))
    (when (= (+ 1 (.max finer)) count)
      (return group))
    (setv group finer)))

(defn first-seen [rows]
  "(N K) -> (N): equal rows get equal numbers, in the order in which they come first."
  (setv numbers {})
  (np.array (lfor  row (.tolist rows)  (.setdefault numbers (tuple row) (len numbers)))))

(defn merge-state [members names p to weights groups]
  "ids of the states of one group -> dict: the state that stands for all of them."
  (setv w (get weights members)
        w (if (> (.sum w) 0) (/ w (.sum w)) (/ (np.ones (len w)) (len w)))
        order (get members (np.argsort (- w) :kind "stable"))       ; the most frequent first
        typical (get order 0))
  {"contexts" (lfor  m order  (get names m))
   "next" (.tolist (@ w (get p members)))
   "to" (.tolist (get groups (get to typical)))
   "stationary" (float (.sum (get weights members)))})

;;; All of it

(defn machine [model * [tokenizer None] [tolerance 0.02]]
  "model -> dict: its states, where each token leads from each, how likely, and how often each state
  comes in the long run; its entropy rate in nats per token; and the smaller machine in which states
  that behave alike, within TOLERANCE, are one."
  (unless (<= 0 tolerance 1)
    (raise (RequestError f"--tolerance is {tolerance}, a difference of probabilities: use 0 to 1")))
  (setv about (subject model tokenizer)
        V (vocab-size about)
        T (or about.block-size 1))
  (check-size V T about.name)
  (setv contexts (contexts-of V T)
        names (lfor  of-length contexts  ids (.tolist of-length)
                     (.join "" (labels about.tokenizer ids)))
        p (asked about contexts)
        to (successors V T)
        weights (long-run p to V T)
        groups (merged p to tolerance)
        members (lfor  g (range (+ 1 (.max groups)))  (get (np.nonzero (= groups g)) 0)))
  {"kind" "chain"
   "question" "After which contexts is it sure, where does it guess, and which contexts never come?"
   "alphabet" (alphabet about)  "block_size" T
   "states" (lfor  [i name] (enumerate names)
                   {"context" name  "next" (.tolist (get p i))  "to" (.tolist (get to i))
                    "stationary" (float (get weights i))  "merged" (int (get groups i))})
   "entropy_rate" (float (@ weights (entropy p)))
   "tolerance" tolerance
   "merged" (lfor  m members  (merge-state m names p to weights groups))})

(defn quoted [#* lines]
  "str... -> str: lines as DOT wants a string."
  (setv escape (fn [text] (.replace (.replace text "\\" "\\\\") "\"" "\\\"")))
  (+ "\"" (.join "\\n" (map escape lines)) "\""))

(defn state-name [state [most 4]]
  "dict -> str: a state by its context; a merged one by the contexts in it, of MOST the first ones."
  (setv names (.get state "contexts" [(.get state "context")])
        text (.join " " (cut names most)))
  (if (> (len names) most) f"{text} +{(- (len names) most)}" text))

(defn dot [machine * [merged True] [least 0.005]]
  "dict -> str: the machine as a graph in the DOT language, arrows with a probability of LEAST or
  more: dot -Tsvg FILE draws it (https://graphviz.org)."
  (setv states (get machine (if merged "merged" "states"))
        lines ["digraph machine {" "  rankdir=LR; node [shape=ellipse];"])
  (for [[i state] (enumerate states)]
    (setv often f"{(* 100 (get state "stationary")) :.1f} %")
    (.append lines f"  s{i} [label={(quoted (state-name state) often)}];"))
  (for [[i state] (enumerate states)
        [token p to] (zip (get machine "alphabet") (get state "next") (get state "to"))]
    (when (>= p least)
      (.append lines f"  s{i} -> s{to} [label={(quoted f"{token} {p :.2f}")}];")))
  (.join "\n" [#* lines "}" ""]))
