"The ladder, climbed: every stage trained under equal conditions, to be compared.

Equal conditions: one preset, as many steps, and for each seed the very same batches, for these come
from a generator of their own; each model is judged by the whole validation part. What is done is
kept as a line of results.jsonl, so that an interrupted climb goes on where it stopped."

(eval-when-compile
  (require hyrule [unless]))
(import  dataclasses [asdict dataclass replace]
         json
         pathlib [Path]
         sys
         rich.progress [BarColumn Progress TextColumn TimeRemainingColumn]
         nanogpt-hy.config [check-keys configs finite preset]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.console [clock console plain-console]
         nanogpt-hy.lab.data.corpus [check-block-size read-corpus]
         nanogpt-hy.lab.files [append-row check-pictures json-hash make-folder read-rows]
         nanogpt-hy.lab.training.comparison [comparison draw-comparison print-comparison]
         nanogpt-hy.lab.training.evaluation [all-of mean-loss]
         nanogpt-hy.lab.training.session [chosen-preset EXIT-CODES fit-name polite-stop
                                          read-settings RUNS]
         nanogpt-hy.lab.training.trainer [at-work Run steps]
         nanogpt-hy.ladder [find-stage parameters-count STAGES])

(setv RUNGS      (lfor  name STAGES  :if (!= name "fast")  name)   ; fast is no step of the lecture
      ;; The lecture's slip is not for comparing stages, gpt's first weights are what it adds, and
      ;; to compile a small model takes longer than to train it.
      OWN        {"scale" "head-size"  "init" "auto"  "compile" "off"}
      STEPS      1000                  ; by then a small model has learned most of what it can
      MOST-SEEDS 1000                  ; far more than tell chance from what a stage brings
      DROPOUT    0.1)

;;; What is to be done

(defclass [(dataclass :frozen True)] Rung []
  "One run: a stage and a seed, with all that its result depends on but the text."
  #^ str stage
  #^ object config
  #^ object train)

(defn chosen-stages [names]
  "\"a,b,c\" -> names of stages, in the ladder's order; all of the lecture's for None."
  (when (is names None)
    (return RUNGS))
  (setv asked (lfor  name (.split names ",")  :if (.strip name)  (.strip name)))
  (for [name asked]
    (find-stage name))
  (unless asked
    (raise (RequestError "--stages names no stage: say for example --stages bigram,head,gpt")))
  (lfor  name STAGES  :if (in name asked)  name))

(defn climb-preset [corpus asked]
  "The preset for a text where none is asked for: sizes that many models can be trained in."
  (if (= "ab" (get (chosen-preset corpus None asked) 0)) "ab" "lecture"))

(defn rungs [corpus stages
             * [seeds 3] [max-steps None] [preset-name None] [settings {}] #** options]
  "-> Rungs, stage by stage: what is trained on CORPUS, each with the same hyperparameters."
  (setv given (| settings (check-keys "the request" options))
        values (preset (or preset-name (climb-preset corpus given)))
        most (.get given "max_iters" (min STEPS (get values "max_iters")))
        many (if (is max-steps None) most max-steps)
        [config train] (configs corpus.tokenizer.vocab-size values OWN given {"max_iters" many})
        dropout (.get given "dropout" (or config.dropout DROPOUT)))
  (unless (<= 1 seeds MOST-SEEDS)
    (raise (RequestError f"--seeds is {seeds}: it has to be at least 1 and at most {MOST-SEEDS}")))
  (unless (>= many 1)
    (raise (RequestError (+ (if (is max-steps None) "--max-iters" "--steps")
                            f" is {many}: it has to be at least 1"))))
  (when (= train.draws "published")
    (raise (RequestError (+ "--draws published has one generator for all, so stages would see "
                            "other batches: leave it out, or use train --preset lecture"))))
  (check-block-size corpus config.block-size)
  (lfor  stage stages
         seed (range train.seed (+ train.seed seeds))
         (Rung stage
               (replace config :dropout (if (. (find-stage stage) drops) dropout 0.0))
               (replace train :seed seed))))

(defn rung-key [rung corpus]
  "-> text: the same for the same work, another one for any other."
  (json-hash [rung.stage (asdict rung.config) (asdict rung.train) corpus.sha256
              (.state corpus.tokenizer)]))

;;; What is done already

(defn is-result [row]
  "Whether ROW, a dict out of somebody's file, says all that a result says."
  (and (all (gfor  name ["key" "stage"]  (isinstance (.get row name) str)))
       (all (gfor  name ["seed" "parameters"]  (isinstance (.get row name) int)))
       (all (gfor  name ["loss" "seconds"]  (finite (.get row name))))))

(defn read-results [path]
  "results.jsonl -> {key: row}; what is not whole there, as after a power cut, is left out."
  (dfor  row (if (.exists path) (read-rows path) [])  :if (is-result row)
         (get row "key") row))

;;; The work

(defn climbed [rung corpus * [told None]]
  "-> the result of RUNG; KeyboardInterrupt with the signal's name if it was stopped."
  (setv run (Run corpus rung.config rung.train :stage rung.stage))
  (with [_ (polite-stop run)]
    (steps run rung.train.max-iters :told told))
  (when run.stopping
    (raise (KeyboardInterrupt run.stopping)))
  (setv batches (all-of corpus corpus.val rung.config.block-size :device run.device)
        [loss _] (with [_ (at-work run)] (mean-loss run.forward batches :device run.device)))
  {"key" (rung-key rung corpus)  "stage" rung.stage  "seed" rung.train.seed  "loss" loss
   "parameters" (parameters-count run.model)  "steps" rung.train.max-iters
   "seconds" (round run.seconds 2)})

(defn estimate [todo corpus * [warm 3] [timed 12]]
  "Rungs -> seconds: a few steps of each stage, timed."
  (setv seconds 0  a-step {})
  (for [rung todo]
    (unless (in rung.stage a-step)
      (setv run (Run corpus rung.config rung.train :stage rung.stage))
      (steps run warm)
      (setv before run.seconds)
      (steps run timed)
      (setv (get a-step rung.stage) (/ (- run.seconds before) timed)))
    (setv seconds (+ seconds (* rung.train.max-iters (get a-step rung.stage)))))
  seconds)

(defn climb [all corpus path]
  "Rungs -> results, one for each. Progress goes to stderr."
  (setv results (read-results path)
        keys (lfor  rung all  (rung-key rung corpus))
        todo (lfor  [rung key] (zip all keys)  :if (not-in key results)  rung)
        out (console))
  (announce out all todo corpus path)
  (make-folder path.parent)
  (with [bar (Progress (TextColumn "{task.description:<24}") (BarColumn) (TimeRemainingColumn)
                       :console out :transient True :disable (not out.is-terminal))]
    (setv task (.add-task bar "" :total (sum (gfor  rung todo  rung.train.max-iters)))
          done 0)
    (for [rung todo]
      (setv name f"{rung.stage}, seed {rung.train.seed}")
      (defn told [run]
        (.update bar task :completed (+ done run.step) :description name))
      (setv row (climbed rung corpus :told told))
      (append-row path row)
      (setv (get results (get row "key")) row
            done (+ done rung.train.max-iters))
      (.print out f"{name :<24}  loss {(get row "loss") :.4f}  {(clock (get row "seconds"))}")))
  (lfor  key keys  (get results key)))

(defn announce [out all todo corpus path]
  "Say what is about to be done and how long it will take."
  (setv train (. (get all 0) train)
        config (. (get all 0) config)
        stages (len (sfor  rung all  rung.stage))
        seeds (// (len all) stages))
  (.print out (+ f"{stages} stages, {seeds} seed{(if (= seeds 1) "" "s")} each: {(len all)} runs "
                 f"of {train.max-iters :,} steps, {train.batch-size} windows of "
                 f"{config.block-size} tokens a step, learning rate {train.learning-rate}"))
  (when (< (len todo) (len all))
    (.print out f"{(- (len all) (len todo))} of them are in {path} already"))
  (when todo
    (.print out f"the {(len todo)} to do will take about {(clock (estimate todo corpus))}")))

;;; The command

(defn results-folder [text]
  "runs/ladder-NAME, where NAME is the text's."
  (/ (Path RUNS) (+ "ladder-" (fit-name (. (Path text) stem)))))

(defn ladder [text * [seeds 3] [max-steps None] [stages None] [preset-name None] [config None]
              [tokenizer None] [out None] [as-json False] [png None] [svg None] [options {}]]
  "`nanogpt-hy ladder`: train and compare the stages on the file TEXT; -> exit code."
  (check-pictures {"png" png  "svg" svg})
  (when (and (is-not max-steps None) (in "max_iters" options))
    (raise (RequestError "--steps and --max-iters say the same: give one of them")))
  (setv names (chosen-stages stages)
        corpus (read-corpus text :tokenizer tokenizer)
        all (rungs corpus names :seeds seeds :max-steps max-steps :preset-name preset-name
                   :settings (if config (read-settings config) {}) #** options)
        path (/ (Path (or out (results-folder text))) "results.jsonl"))
  (try
    (setv results (climb all corpus path))
    (except [stop KeyboardInterrupt]
      (setv by (if stop.args (get stop.args 0) "SIGINT"))
      (.print (console) f"stopped by {by}: what is done is in {path}, the same command goes on")
      (return (get EXIT-CODES by))))
  (setv found (comparison corpus all results))
  (if as-json
    (print (json.dumps found :indent 2))
    (print-comparison found (plain-console :width (if (.isatty sys.stdout) None 80))))
  (for [picture [png svg]  :if picture]
    (import nanogpt-hy.lab.pictures.plots [save-figure])
    (save-figure (draw-comparison found) picture)
    (.print (console) f"wrote {picture}"))
  0)
