"What lessons make: small texts, and stages of the ladder trained on them in seconds."

(import  atexit
         dataclasses [dataclass]
         functools [cache]
         pathlib [Path]
         tempfile [TemporaryDirectory]
         textwrap
         torch
         nanogpt-hy.course [generate]
         nanogpt-hy.lab.checkpoints.trained [Trained]
         nanogpt-hy.lab.data.chain-files [write-chain]
         nanogpt-hy.lab.data.corpus [read-corpus]
         nanogpt-hy.lab.data.markov [ab-chain draw-lines]
         nanogpt-hy.lab.files [write-atomic]
         nanogpt-hy.lab.modes [in-eval-mode]
         nanogpt-hy.lab.training.device [fit-threads]
         nanogpt-hy.lab.training.evaluation [all-of loss-floor mean-loss]
         nanogpt-hy.lab.training.saving [run-meta]
         nanogpt-hy.lab.training.session [go new-run tuned-run]
         nanogpt-hy.ladder [parameters-count STAGES]
         nanogpt-hy.lessons.lesson [lesson-paths])

(setv SHAPE {"block_size" 16  "n_layer" 3  "n_head" 4  "n_embd" 32  "max_iters" 400
             "device" "cpu"  "compile" "off"  "eval_iters" "all"})


;;; Texts

(defn [cache] workshop []
  "A folder for the texts of this process; it is gone when the process ends."
  (setv folder (TemporaryDirectory :prefix "nanogpt-hy-"))
  (atexit.register folder.cleanup)
  (Path folder.name))

(defn write-text [name text]
  "-> the path of a file in the workshop that holds TEXT."
  (setv path (/ (workshop) f"{name}.txt"))
  (write-atomic path text)
  (str path))

(defn [cache] ab-text [[lines 2,000] * [stay 0.5] [seed 1337]]
  "-> the path of LINES of a and b, eight to a line; the chain that drew them lies beside it."
  (setv chain (ab-chain :stay stay)
        path  (write-text f"ab-{lines}-{stay}-{seed}" (draw-lines chain lines :seed seed)))
  (write-chain chain (.with-suffix (Path path) ".toml"))
  path)

(defn [cache] lesson-text []
  "-> the path of a real text, in English: these lessons themselves."
  (setv texts (lfor  path (lesson-paths)  (.read-text path :encoding "utf-8")))
  (write-text "lessons" (.join "\n" texts)))


;;; Training

(defclass [(dataclass :frozen True)] Made []
  "A stage that was trained: its loss on text that it did not learn from, on the text that it did
  learn from, and the floor."
  #^ str stage
  #^ int parameters
  #^ float loss
  #^ float train-loss
  #^ (| float None) floor
  #^ object run

  (defn __repr__ [self]
    f"<{self.stage}: {self.parameters} weights, loss {self.loss :.4f}>"))

(defn finish [run]
  "Train RUN to its end, saying nothing; -> Made."
  (setv judged [])
  (go run :judged (fn [run row] (.append judged row)))
  (when run.stopping
    (raise (KeyboardInterrupt)))
  (setv row (get judged -1))
  (Made run.stage (parameters-count run.model) (get row "val_loss") (get row "train_loss")
        (loss-floor run.corpus run.config.block-size) run))

(defn [cache] made [stage #** options]
  "Train STAGE of the ladder on the a/b text, or on the file :text; -> Made. The same request again
  costs nothing."
  (setv options (| {"text" (ab-text)} SHAPE options)
        text    (.pop options "text"))
  (.setdefault options "eval_interval" (get options "max_iters"))
  (finish (new-run text :stage stage :preset-name "ab" #** options)))

(defn tuned [trained text * [prepare None] #** options]
  "A copy of a Made model, trained further on the file TEXT: fine-tuning; -> Made. PREPARE is called
  with the copy before that."
  (setv run     trained.run
        before  (Trained (Path "before") run.model run.corpus.tokenizer run.config (run-meta run))
        options (| {"max_iters" 100  "device" "cpu"  "compile" "off"  "eval_iters" "all"} options))
  (setv further (tuned-run text before :preset-name "ab" #** options))
  (when prepare
    (prepare further.model))
  (finish further))

(defn loss-on [text trained]
  "The loss of a Made or Trained model over all of the validation part of the file TEXT."
  (setv [model tokenizer config] (if (isinstance trained Made)
                                   [trained.run.model trained.run.corpus.tokenizer
                                    trained.run.config]
                                   [trained.model trained.tokenizer trained.config])
        corpus (read-corpus text :tokenizer tokenizer))
  (with [_ (fit-threads config)]
    (get (mean-loss model (all-of corpus corpus.val config.block-size)) 0)))

(defn compare [#* stages #** options]
  "Train STAGES, one after the other, and print a table; -> {stage: loss}."
  (print f"{"stage" :<14} {"weights" :>8}  {"loss" :>7}  what it adds")
  (setv losses {}  floor None)
  (for [stage stages]
    (setv trained (made stage #** options)
          floor trained.floor
          (get losses stage) trained.loss)
    (print (textwrap.fill f"{trained.loss :>7.4f}  {(. (get STAGES stage) adds)}" 80
                          :initial-indent f"{stage :<14} {trained.parameters :>8,}  "
                          :subsequent-indent (* " " 34))
           :flush True))
  (when (is-not floor None)
    (print f"{"floor" :<14} {"" :>8}  {floor :>7.4f}  no model can lose less"))
  losses)

(defn written [trained [count 40] * [seed 1] [prompt "\n"]]
  "-> str: what a Made model writes after PROMPT."
  (setv run trained.run
        tokenizer run.corpus.tokenizer
        ids (torch.tensor [(.encode tokenizer prompt)]))
  (with [_ (in-eval-mode run.model)]
    (setv out (generate run.model ids count :block-size run.config.block-size
                        :generator (.manual-seed (torch.Generator) seed))))
  (cut (.decode tokenizer (.tolist (get out 0))) (len prompt) None))

(defn chances [trained context]
  "-> {character: p}: what a Made model expects after CONTEXT."
  (setv run trained.run
        tokenizer run.corpus.tokenizer
        ids (torch.tensor [(cut (.encode tokenizer context) (- run.config.block-size) None)]))
  (with [_ (in-eval-mode run.model)
         _ (torch.no-grad)]
    (setv p (.softmax (get (run.model ids) #(0 -1)) :dim -1)))
  (dfor  [char x] (zip tokenizer.chars (.tolist p))  char (round x 4)))
