"A run's state: to its folder and back, and into a copy of it.

  (setv other (fork run))              ; a copy that goes its own way
  (save run)                           ; if it has a folder: (begin (new-run … :folder \"x\"))"

(eval-when-compile
  (require hyrule [unless]))
(import  dataclasses [asdict]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.checkpoints.checkpoint [as-model-part load-weights model-part
                                                save-checkpoint]
         nanogpt-hy.lab.files [append-row read-rows]
         nanogpt-hy.lab.training.parallel [gathered parts-of]
         nanogpt-hy.lab.training.randomness [seeded-state]
         nanogpt-hy.lab.training.trainer [look own-dropout Run])

;;; Its state

(defn state-tensors [run]
  "-> dict of tensors: all that the next step depends on, beside the numbers of `progress`."
  (setv generators (dfor  [name g] (.items run.generators)  :if g  name (.get-state g))
        ahead (or run.ahead []))
  (| (gathered run.group
       (| (as-model-part (.state-dict run.model))
          (dfor  [name m] (.items (.moments run.optimizer))  f"optimizer.{name}" m)))
     (dfor  [name s] (.items generators)  f"generator.{name}" s)
     (dfor  [name s] (.items run.default-state)  f"generator.default.{name}" s)
     (dfor  [i pair] (enumerate ahead)  [j part] (enumerate pair)  f"ahead.{i}.{j}" part)))

(defn progress [run]
  "-> JSON: where the run stands."
  {"tokens" run.tokens  "seconds" run.seconds  "loss" run.loss  "evaluated" run.evaluated
   "best" run.best  "stale" run.stale
   "scaler" (when run.scaler (.state-dict run.scaler))})

(defn run-meta [run]
  "-> JSON: what a checkpoint says of itself."
  (setv corpus run.corpus)
  {"stage" run.stage  "config" (asdict run.config)  "train" (asdict run.train)
   "tokenizer" (.state corpus.tokenizer)  "step" run.step
   "losses" {"train" run.loss  "best" (get run.best "val_loss")}
   "data" {"path" corpus.path  "sha256" corpus.sha256  "characters" corpus.characters
           "train_tokens" (len corpus.train)  "val_tokens" (len corpus.val)
           "starts" corpus.starts}
   "progress" (progress run)})

(defn save [run [name "last"]]
  "Write NAME.safetensors into the run's folder; `last` can be resumed, `best` holds the weights."
  (unless run.folder
    (raise (RequestError "this run has no folder to save in: make it with :folder \"runs/NAME\"")))
  (look run)
  (setv tensors (state-tensors run))
  (when run.group.leads
    (save-checkpoint (/ run.folder f"{name}.safetensors")
                     (if (= name "last")
                       tensors
                       (as-model-part (model-part tensors)))
                     (run-meta run))))

(defn restore [run tensors step progress]
  "Put RUN where another stood: state TENSORS, STEP and PROGRESS as the functions above give them."
  (defn under [prefix]
    (dfor  [key t] (.items tensors)  :if (.startswith key prefix)  (.removeprefix key prefix) t))
  (load-weights run.model (parts-of tensors run.model))
  (.restore run.optimizer (under "optimizer."))
  (for [[name generator] (.items run.generators)  :if generator]
    (.set-state generator (get tensors f"generator.{name}")))
  (setv ahead (under "ahead.")
        ;; Of a device that the run comes to only now, the file has no state.
        run.default-state (| (seeded-state run.train.seed run.device) (under "generator.default."))
        run.ahead (lfor  i (range (// (len ahead) 2))  [(get ahead f"{i}.0") (get ahead f"{i}.1")])
        run.step step)
  (for [name ["tokens" "seconds" "loss" "evaluated" "best" "stale"]]
    (setattr run name (get progress name)))
  (own-dropout run)
  (when (and run.scaler (get progress "scaler"))
    (.load-state-dict run.scaler (get progress "scaler"))))

(defn fork [run]
  "A copy of RUN that goes its own way and writes nothing."
  (setv copy (Run run.corpus run.config run.train :stage run.stage))
  (restore copy (state-tensors run) run.step (progress run))         ; which copies all that changes
  copy)

;;; Its metrics

(defn metrics-so-far [run]
  "-> dicts: the rows of the run's metrics.jsonl."
  (setv path (/ run.folder "metrics.jsonl"))
  (if (.exists path) (read-rows path) []))

(defn has-ended [run]
  "Whether the run's metrics.jsonl has the row of its end."
  (any (gfor  row (metrics-so-far run)  (= (.get row "event") "end"))))

(defn log-metrics [run row]
  "Append ROW to the run's metrics.jsonl, and let others know."
  (unless run.group.leads
    (return))
  (append-row (/ run.folder "metrics.jsonl") row)
  (for [hear run.listeners]
    (hear row)))
