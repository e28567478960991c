"Where a model loses: along the context, and along its training."

(eval-when-compile
  (require hyrule [ncut unless]))
(import  math [ceil sqrt]
         pathlib [Path]
         torch
         nanogpt-hy.config [finite]
         nanogpt-hy.course [draw-batch windows]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.checkpoints.checkpoint [read-meta]
         nanogpt-hy.lab.data.corpus [as-corpus]
         nanogpt-hy.lab.data.counting [counting-losses]
         nanogpt-hy.lab.data.markov [floors-by-context floors-by-position]
         nanogpt-hy.lab.files [read-rows short]
         nanogpt-hy.lab.inside.subject [subject]
         nanogpt-hy.lab.modes [in-eval-mode]
         nanogpt-hy.lab.training.device [sent]
         nanogpt-hy.lab.training.evaluation [by-line line-batches rows-at-once
                                             token-losses yardsticks])

(setv MOST-METRICS 500,000,000)      ; bytes of a metrics.jsonl

;;; Along the context

(defn position-batches [corpus block-size count seed]
  "-> ((B T) (B T))...: about COUNT lines where they fit into the context, else windows from random
  places."
  (if (by-line corpus block-size)
    (line-batches corpus.val corpus.line-tokens
                  :every (max 1 (// (len corpus.val) (* count corpus.line-tokens))))
    (do
      (setv generator (.manual-seed (torch.Generator) seed)
            T (min block-size (- (len corpus.val) 1))
            rows (rows-at-once T))
      (gfor  _ (range (max 1 (// count rows)))
             (draw-batch corpus.val :batch-size (min rows count) :block-size T
                         :generator generator)))))

(defn [(torch.no-grad)] mean-by-position [model batches]
  "((B T) (B T))... -> (T) (T) int: mean losses, their standard errors, and of how many rows."
  (setv device (. (next (.parameters model)) device)
        [total squares rows] [0 0 0])
  (with [_ (in-eval-mode model)]
    (for [[x y] batches]
      (setv losses (.double (.cpu (token-losses model (sent x device) (sent y device))))
            total (+ total (.sum losses 0))
            squares (+ squares (.sum (** losses 2) 0))
            rows (+ rows (len losses)))))
  (setv mean (/ total rows)
        variance (.clamp (- (/ squares rows) (** mean 2)) :min 0))
  [(.tolist mean) (.tolist (/ (.sqrt variance) (sqrt rows))) rows])

(defn [(torch.no-grad)] window-losses [model ids block-size * [most-work 524,288]
                                       [told (fn [share])]]
  "(N) -> dict: the mean loss of tokens past the context, each after what `sample --window` shows
  MODEL: exact, the block-size tokens before it; half, what is left of them by then. The same tokens
  both times, from runs of half a window, evenly spread: as many as MODEL computes by reading about
  MOST-WORK tokens, but at least two. The error is the difference's. TOLD hears what share of the
  work is done, each time."
  (setv device (. (next (.parameters model)) device)
        half   (// (+ block-size 1) 2)
        most   (max 2 (// most-work (* half block-size)))
        starts (torch.arange half (max half (- (len ids) block-size)) half))
  (unless (len starts)
    (raise (RequestError (+ f"the validation part has {(len ids)} tokens, too few to go beyond "
                            f"the context of {block-size}: use a longer text, or no --windows"))))
  (defn last-losses [starts count]
    (torch.cat (lfor  some (.split starts (rows-at-once block-size))
                      [x y] [(windows ids some block-size)]
                      (.flatten (ncut (token-losses model (sent x device) (sent y device))
                                      : (: (- count) None))))))
  (setv rows []
        chosen (cut starts None None (ceil (/ (len starts) most))))
  (with [_ (in-eval-mode model)]
    (for [start chosen]
      (.append rows (torch.stack [(last-losses (+ start (torch.arange (- 1 half) 1)) 1)
                                  (last-losses (ncut start None) half)]))
      (told (/ 1 (len chosen)))))
  (setv losses      (.double (.cpu (torch.stack rows)))                     ; (rows 2 half)
        differences (.mean (- (ncut losses : 1) (ncut losses : 0)) 1)       ; (rows)
        [exact after-half] (.tolist (.mean losses [0 2])))
  {"exact" exact  "half" after-half  "tokens" (* half (len rows))
   "error" (if (> (len rows) 1) (.item (/ (.std differences) (sqrt (len rows)))) None)})

(defn position-floors [corpus block-size T]
  "-> T nats, or None: the least loss at each position, if the chain behind the text is known."
  (cond
    (not (and corpus.chain corpus.line-tokens)) None
    (by-line corpus block-size) (floors-by-position corpus.chain)
    True (do (setv floors (floors-by-context corpus.chain))
             (lfor  t (range 1 (+ T 1))  (get floors (min t (- (len floors) 1)))))))

(defn loss-by-position [model text * [tokenizer None] [windows 4000] [seed 1337]]
  "model, text file -> dict: its mean loss at each position of validation lines, or of windows where
  lines do not fit into its context, beside what cannot be beaten and what counting loses."
  (setv about (subject model tokenizer)
        corpus (as-corpus text about.tokenizer)
        block-size (or about.block-size 8))
  (when (< (len corpus.val) 2)
    (raise (RequestError f"the validation part of {corpus.path} is too short: use a longer text")))
  (setv lines (by-line corpus block-size)
        [loss error rows] (mean-by-position about.model
                                            (position-batches corpus block-size windows seed))
        T (len loss))
  {"kind" "positions"
   "question" (+ "Where in the " (if lines "line" "context") " does the model lose more than it "
                 "has to? Does a longer context help, and up to where?")
   "text" corpus.path  "unit" (if lines "line" "window")  "rows" rows
   "positions" (lfor  t (range 1 (+ T 1))  (if (and lines (= t T)) "↵" f"{t}"))
   "loss" loss  "error" error
   "floor" (position-floors corpus block-size T)
   "counting" (dfor  [k value] (.items (counting-losses corpus))  f"{k}" value)})

;;; Along the training

(defn evaluations [path]
  "metrics.jsonl -> [dict]: its evaluations; what is no whole line of JSON is left out."
  (setv rows (lfor  row (read-rows path :most MOST-METRICS)
                    :if (= (.get row "event") "eval")  row))
  (for [row rows
        key ["step" "train_loss" "val_loss"]]
    (setv value (.get row key))
    (unless (finite value)
      (raise (RequestError (+ f"{path} has an evaluation with {key} = {(short value)}, which is no "
                              "number: train anew")))))
  rows)

(defn loss-curve [folder * [text None] [tokenizer None]]
  "a run's folder -> dict: training and validation loss at each evaluation; of the TEXT, if given,
  the floor and what guessing and counting lose."
  (setv folder (Path folder)
        path (/ folder "metrics.jsonl"))
  (unless (.exists path)
    (raise (RequestError f"{folder} was not trained here: name a trained run, --ckpt runs/NAME")))
  (setv rows (evaluations path))
  (unless rows
    (raise (RequestError f"{path} has no evaluation yet: train on")))
  (setv column (fn [key] (lfor  row rows  (get row key))))
  {"kind" "loss"
   "question" (+ "Does the validation loss still fall? Do the two curves part? How far is it to "
                 "the floor, or to counting pairs?")
   "run" (str folder)  "steps" (column "step")
   "train" (column "train_loss")  "val" (column "val_loss")
   "yardsticks" (if text (known-yardsticks (as-corpus text tokenizer) folder) {})})

(defn known-yardsticks [corpus folder]
  "Corpus -> {words: nats}: what the losses of the run in FOLDER stand beside."
  (setv block-size (get (read-meta folder) "config" "block_size"))
  (dfor  [name loss] (.items (yardsticks corpus block-size))
         :if (not (or (is loss None) (= name "floor here")))
         name loss))
