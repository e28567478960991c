"A training session: from a request to a run in its folder, and to its end (resuming: resume.hy)."

(eval-when-compile
  (require hyrule [unless]))
(import  contextlib [contextmanager]
         dataclasses [asdict replace]
         itertools [count]
         pathlib [Path]
         re
         signal
         tempfile [TemporaryFile]
         tomlkit
         nanogpt-hy.config [configs check-keys FIELDS option-name preset]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.checkpoints.checkpoint [as-model-part load-weights]
         nanogpt-hy.lab.checkpoints.trained [open-model Trained]
         nanogpt-hy.lab.data.corpus [as-corpus]
         nanogpt-hy.lab.files [read-toml short write-atomic]
         nanogpt-hy.lab.training.launch [ALONE here]
         nanogpt-hy.lab.training.parallel [own-device parts-of]
         nanogpt-hy.lab.training.saving [has-ended log-metrics save]
         nanogpt-hy.lab.training.summary [summary]
         nanogpt-hy.lab.training.trainer [check-finite evaluate hears-signals Run steps]
         nanogpt-hy.ladder [find-stage parameters-count])

(setv TINY-ALPHABET 8      ; a text of at most so many distinct tokens is a toy
      RUNS          "runs"
      MOST-NAME     100    ; letters of a name in its folder's
      EXIT-CODES    {"SIGINT" 130  "SIGTERM" 143  "SIGHUP" 129})       ; as shells: 128 and number

;;; What is asked for

(defn read-settings [path]
  "-> dict: the hyperparameters in the TOML file PATH."
  (check-keys f"{path}" (read-toml path)))

(defn chosen-preset [corpus name asked]
  "The preset NAME, or the one that fits CORPUS and the device ASKED for (a dict), and why."
  (cond
    name
      [name "asked for"]
    (<= corpus.tokenizer.vocab-size TINY-ALPHABET)
      ["ab" f"the text has only {corpus.tokenizer.vocab-size} distinct tokens"]
    (= (. (get (own-device (here) (.get asked "device" "auto")) 0) type) "cuda")
      ["shakespeare-gpu" "there is a CUDA GPU"]
    True
      ["shakespeare-cpu" "there is no CUDA GPU"]))

(defn default-stage [preset-name]
  "What is trained where no stage is named: the fast GPT, and the course's for the lecture's runs."
  (if (= preset-name "lecture") "gpt" "fast"))

(defn preset-of [name stage]
  "The values of the preset NAME; of the lecture's also what STAGE's published run had different."
  (| (preset name) (if (= name "lecture") (. (find-stage stage) lecture) {})))

(defn new-run [text * [stage None] [preset-name None] [settings {}] [tokenizer None]
               [folder None] #** options]
  "A Run on TEXT, a file's name or a Corpus: the defaults, overlaid by the preset, SETTINGS (as a
  config file has them) and OPTIONS."
  (setv corpus (as-corpus text tokenizer)
        asked (| settings (check-keys "the request" options))
        [name _] (chosen-preset corpus preset-name asked)
        stage (or stage (default-stage name))
        [config train] (configs corpus.tokenizer.vocab-size (preset-of name stage) asked))
  (Run corpus config train :stage stage :folder folder))

;;; Its folder

(defn fit-name [name]
  "NAME, that of a text without its ending or of a model, as one that a folder may have."
  (or (re.sub r"[^\w.-]+" "-" (cut name MOST-NAME)) "run"))

(defn folders-named [name]
  "runs/NAME, then the same with a number behind it, from 2 on."
  (setv first-one (/ (Path RUNS) (fit-name name)))
  (yield first-one)
  (for [number (count 2)]
    (yield (.with-name first-one f"{first-one.name}-{number}"))))

(defn free-folder [name]
  "The first of the folders of that NAME that is not taken."
  (next (gfor  folder (folders-named name)  :if (not (.exists folder))  folder)))

(defn new-folder [name]
  "The first of the folders of that NAME that could be made, now made: no other process has it."
  (for [folder (folders-named name)]
    (try
      (.mkdir folder :parents True)
      (except [FileExistsError]
        (continue))
      (except [OSError]))              ; who wants to write to it will say why
    (return folder)))

(defn check-writable [folder]
  "Make FOLDER, if it is not there; RequestError if it cannot be written to."
  (try
    (.mkdir folder :parents True :exist-ok True)
    (with [_ (TemporaryFile :dir folder)])
    (except [e OSError]
      (setv why (if (isinstance e #(FileExistsError NotADirectoryError))
                  "that is a file"
                  e.strerror))
      (raise (RequestError f"{folder} cannot be written to ({why}): choose another --out")))))

(defn check-free [folder]
  "RequestError if FOLDER holds a run already."
  (for [name ["last.safetensors" "best.safetensors"]]
    (when (.exists (/ folder name))
      (raise (RequestError
        f"{folder} holds a run already: go on with it by --resume, or choose another --out"))))
  (setv others (lfor  name ["config.toml" "metrics.jsonl"]  :if (.exists (/ folder name))  name))
  (when others
    (raise (RequestError (+ f"{folder} has no checkpoint, but {(.join " and " others)}, which a "
                            "run would write over: remove what nobody needs, or choose another "
                            "--out")))))

(defn write-config [run]
  "The run's config.toml: every hyperparameter as it was resolved, fit for --config."
  (setv document (tomlkit.document))
  (.add document (tomlkit.comment f"{run.stage} on {(short run.corpus.path)}"))
  (for [[name value] (.items (| (asdict run.config) (asdict run.train)))]
    (when (and (in name FIELDS) (is-not value None))
      (.add document name value)))
  (write-atomic (/ run.folder "config.toml") (tomlkit.dumps document)))

(defn begin [run [hold (fn [folder])]]
  "Give a new run its folder and what belongs there before the first step. HOLD keeps others out of
  it, before anybody looks into it and then writes."
  (when run.group.leads
    (check-writable run.folder)
    (hold run.folder)
    (check-free run.folder)
    (write-config run))
  (log-metrics run {"event" "start"  "stage" run.stage  "text" run.corpus.path
                    "sha256" run.corpus.sha256  "parameters" (parameters-count run.model)})
  run)

;;; From trained weights on

(defn tuned-run [text checkpoint * [preset-name None] [settings {}] [folder None] #** options]
  "A new Run on TEXT, a file's name or a Corpus, that starts from the weights of CHECKPOINT, a file
  or a Trained model: fine-tuning."
  (setv trained (if (isinstance checkpoint Trained) checkpoint (open-model checkpoint))
        corpus (as-corpus text trained.tokenizer)
        stage (get trained.meta "stage")
        own   (dfor  [key value] (.items (asdict trained.config))
                     :if (not-in key ["dropout" "vocab_size"])
                     key value)
        asked (| settings (check-keys "the request" options))
        [name _] (chosen-preset corpus preset-name asked))
  (for [[key value] (.items own)]
    (when (!= (.get asked key value) value)
      (raise (RequestError (+ f"{trained.path} has {(option-name key)} {value}, "
                              f"not {(get asked key)}: leave it out with --init-from")))))
  (setv [config train] (configs corpus.tokenizer.vocab-size (| (preset-of name stage) own) asked)
        config (replace trained.config :dropout (.get asked "dropout" config.dropout))
        run (Run corpus config train :stage stage :folder folder))
  (load-weights run.model (parts-of (as-model-part (.state-dict trained.model)) run.model))
  run)

;;; The whole of it

(defn [contextmanager] polite-stop [run]
  "Within, Ctrl-C, SIGTERM and the closing of the terminal let the step be finished. A second one
  stops at once. Many processes finish the step after which all have heard of it. In another thread
  than the main one nothing is done."
  (defn ask [number frame]
    (when run.asked
      (raise (KeyboardInterrupt)))
    (setv run.asked (. (signal.Signals number) name))
    (when (is run.group ALONE)
      (setv run.stopping run.asked)))
  (setv before {})
  (for [name EXIT-CODES  :if (hears-signals)]
    (setv number (getattr signal name None))           ; Windows has no SIGHUP
    (unless (or (is number None)
                (and (= name "SIGHUP") (= (signal.getsignal number) signal.SIG-IGN)))     ; nohup's
      (setv (get before number) (signal.signal number ask))))
  (try
    (yield)
    (finally
      (for [[number handler] (.items before)]
        (signal.signal number handler)))))

(defn judge [run]
  "Evaluate, remember whether that is the best so far, and save."
  (setv row (evaluate run)
        better (or (is (get run.best "val_loss") None)
                   (< (get row "val_loss") (get run.best "val_loss"))))
  (for [[name key] [["validation" "val_loss"] ["training" "train_loss"]]]
    (check-finite run f"{name} loss at step {run.step}" (get row key)))
  (setv run.evaluated run.step
        run.stale (if better 0 (+ run.stale 1))
        run.best (if better {"val_loss" (get row "val_loss")  "step" run.step} run.best))
  (when run.folder
    (log-metrics run row)
    (when better
      (save run "best"))
    (save run "last"))
  row)

(defn finished [run]
  "Why there is nothing more to do, or None."
  (cond
    (>= run.step run.train.max-iters) "all steps are done"
    (and run.train.patience (>= run.stale run.train.patience))
      f"no better validation loss in {run.stale} evaluations"
    True None))

(defn due [run]
  "Whether an evaluation is to come before the next step."
  (and (!= run.evaluated run.step)
       (or (= 0 (% run.step run.train.eval-interval)) (finished run))))

(defn until-next [run]
  "Steps until the next evaluation."
  (setv interval run.train.eval-interval)
  (min (- interval (% run.step interval)) (- run.train.max-iters run.step)))

(defn go [run * [told (fn [run])] [judged (fn [run row])] [first-steps steps]]
  "Train RUN to its end; -> why it ended. TOLD hears of it a few times a second, JUDGED after each
  evaluation. FIRST-STEPS is called in place of `steps`, once."
  (setv idle (and (finished run) (not (due run))))         ; it was already at its end
  (with [_ (polite-stop run)]
    (while (not run.stopping)
      (when (due run)
        (judged run (judge run)))
      (when (finished run)
        (break))
      (first-steps run (until-next run) :told told)
      (setv first-steps steps))
    (setv end (or run.stopping (finished run)))
    (when run.folder
      (when run.stopping
        (save run))
      (unless (and idle (has-ended run))
        (log-metrics run {"event" "end"  "step" run.step  "why" end
                          "seconds" (round run.seconds 3)  "best" run.best  #** (summary run)}))))
  end)
