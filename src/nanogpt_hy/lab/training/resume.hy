"Going on with a run: what its folder holds is checked before it is believed.

A run goes on with the text, the model and the draws that it was begun with; the rest may change."

(eval-when-compile
  (require hyrule [unless]))
(import  dataclasses [asdict replace]
         json
         math [inf]
         pathlib [Path]
         nanogpt-hy.config [check-keys GPTConfig option-name read-config TrainConfig whole]
         nanogpt-hy.errors [out-of-memory RequestError]
         nanogpt-hy.lab.checkpoints.checkpoint [load-checkpoint]
         nanogpt-hy.lab.data.corpus [as-corpus Corpus marks-of]
         nanogpt-hy.lab.data.tokenizers [can-have-made tokenizer-from]
         nanogpt-hy.lab.files [short write-atomic]
         nanogpt-hy.lab.training.launch [here]
         nanogpt-hy.lab.training.processes [is-silence]
         nanogpt-hy.lab.training.saving [metrics-so-far restore]
         nanogpt-hy.lab.training.session [finished preset-of write-config]
         nanogpt-hy.lab.training.trainer [at-work Run])

(setv MOST 1e15)       ; of any number in a record of a run: none can really be larger

;;; What may not differ

(defn check-same [asked saved]
  "RequestError that names where two dicts of settings differ."
  (setv differ (lfor  [name value] (.items asked)
                      :if (!= value (.get saved name))
                      f"{(option-name name)} was {(.get saved name)}, not {value}"))
  (when differ
    (raise (RequestError (+ f"cannot resume with other settings: {(.join "; " differ)}: "
                            "leave that out, or begin a new run without --resume")))))

(defn check-same-text [text folder data]
  "RequestError if TEXT is not the one that the run in FOLDER was trained on, as its DATA say."
  (setv [path sha256 characters] (if (isinstance text Corpus)
                                   [text.path text.sha256 text.characters]
                                   [text #* (marks-of text)]))
  (when (!= sha256 (.get data "sha256"))
    (raise (RequestError
      (+ f"cannot resume with another text: {folder} was trained on {(.get data "path")} "
         f"({(.get data "characters")} characters), and {path} ({characters}) is not the same: "
         "give that text, name that text's run with --out, or begin a new one without --resume")))))

(defn check-same-tokenizer [spec tokenizer]
  "RequestError if SPEC, as --tokenizer has it, asks for another one than TOKENIZER."
  (unless (or (is spec None) (can-have-made spec tokenizer))
    (setv kind (get (.state tokenizer) "kind"))
    (raise (RequestError (+ f"cannot resume with another tokenizer: --tokenizer was {kind}, not "
                            f"{spec}: leave it out, or begin a new run without --resume")))))

;;; What a stranger may have written

(defn check-progress [path found]
  "RequestError if FOUND, which the checkpoint PATH says of the run's progress, cannot be true."
  (defn number [value [least (- inf)]]
    (and (in (type value) [int float]) (<= least value MOST)))
  (setv best (when (isinstance found dict) (.get found "best")))
  (unless (and (isinstance best dict)
               (all (gfor  key ["tokens" "seconds" "stale"]  (number (.get found key) 0)))
               (number (.get found "evaluated") -1)
               (or (is (.get found "loss" 0) None) (number (.get found "loss")))
               (or (= best {"val_loss" None  "step" None})
                   (and (number (.get best "val_loss")) (number (.get best "step") 0))))
    (raise (RequestError
      f"{path} cannot be resumed, its record of the run is damaged: train anew without --resume"))))

(defn check-moments [run tensors step]
  "ValueError if the optimizer's memory among TENSORS, of some STEPs, does not fit RUN's weights."
  (setv weights run.optimizer.adamw.weights
        found {})
  (for [[name t] (.items tensors)  :if (.startswith name "optimizer.")]
    (setv [_ place kind] (.split name "."))
    (setv (get (.setdefault found (int place) {}) kind) (tuple t.shape)))
  (for [[place shapes] (.items found)]
    (setv shape (tuple (. (get weights place) shape)))
    (when (!= shapes {"step" #()  "exp_avg" shape  "exp_avg_sq" shape})
      (raise (ValueError f"the optimizer's memory of weight {place} does not fit it"))))
  (when (and step (not found))
    (raise (ValueError "the optimizer's memory is missing"))))

(defn check-restored [run saved]
  "ValueError or RuntimeError if RUN cannot draw, or has drawn what is no batch of its text, of the
  size that the TrainConfig SAVED says."
  (with [_ (at-work run)])               ; gives torch the state of its generators
  (for [pair (or run.ahead [])  ids pair]
    (unless (and (= (tuple ids.shape) #(saved.batch-size run.config.block-size))
                 (<= 0 (.min ids) (.max ids) (- run.config.vocab-size 1)))
      (raise (ValueError "the batch that was drawn ahead is none")))))

;;; On it goes

(defn resume-run [text * folder [stage None] [preset-name None] [tokenizer None]
                  [settings {}] #** options]
  "The Run in FOLDER, where it was saved last. Options of training may change, the text, the model
  and the draws may not. The command that began the run asks for what there is already."
  (setv path (/ (Path folder) "last.safetensors"))
  (unless (.exists path)
    (raise (RequestError
      (+ f"{folder} holds no run to resume (no last.safetensors): name the run's folder "
         "with --out, or leave out --resume"))))
  (setv [tensors meta] (load-checkpoint path)
        data (get meta "data"))
  (check-progress path (.get meta "progress"))
  (check-same-text text folder data)
  (setv config (read-config GPTConfig (get meta "config") f"{path}")
        saved (read-config TrainConfig (get meta "train") f"{path}")
        begun (get meta "stage")
        own   (tokenizer-from (get meta "tokenizer") :vocab-size config.vocab-size
                              :source f"{path}")
        preset-layer (if preset-name (preset-of preset-name begun) {})
        asked (| preset-layer settings (check-keys "the request" options))
        fixed #{"seed" "draws" "decay" #* (asdict config)})
  (check-same-tokenizer tokenizer own)
  (check-same (| (if stage {"stage" stage} {}) (dfor  k asked  :if (in k fixed)  k (get asked k)))
              {"stage" begun  #** (asdict saved)  #** (asdict config)})
  (setv train (replace saved #** (dfor  [k v] (.items asked)  :if (in k (asdict saved))  k v))
        corpus (as-corpus text own)
        run (Run corpus config train :stage begun :folder folder))
  (try
    (check-moments run tensors (get meta "step"))
    (restore run tensors (get meta "step") (.get meta "progress"))
    (check-restored run saved)
    (except [e [KeyError TypeError ValueError RuntimeError IndexError AttributeError]]
      (when (or (out-of-memory e) (is-silence e))
        (raise))
      (raise (RequestError
        (+ f"{path} cannot be resumed, its record of the run is damaged ({(short (str e))}): "
           "train anew without --resume")) :from e)))
  (when (. (here) leads)
    (forget-after run)
    (write-config run))
  run)

(defn forget-after [run]
  "Take out of metrics.jsonl what was written after the checkpoint that RUN goes on from, and that
  the run came to its end, if it goes on."
  (setv over (finished run))
  (defn known [row]
    (if (= (.get row "event") "end")
      over
      (whole (.get row "step" -1) -1 run.evaluated)))
  (setv kept (lfor  row (metrics-so-far run)  :if (known row)  (+ (json.dumps row) "\n")))
  (write-atomic (/ run.folder "metrics.jsonl") (.join "" kept)))
