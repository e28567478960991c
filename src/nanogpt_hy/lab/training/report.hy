"What a training run tells: what it is about to do, how it goes, how it ended. All to stderr."

(import  rich.progress [BarColumn Progress ProgressColumn TextColumn TimeRemainingColumn]
         rich.table [Column Table]
         nanogpt-hy.lab.console [clock console]
         nanogpt-hy.lab.data.counting [COUNTED]
         nanogpt-hy.lab.training.device [threads-for]
         nanogpt-hy.lab.training.evaluation [by-line yardsticks]
         nanogpt-hy.lab.training.launch [ALONE]
         nanogpt-hy.lab.training.profile [lines-of]
         nanogpt-hy.lab.training.summary [tokens-per-second]
         nanogpt-hy.lab.training.trainer [eval-iters tokens-a-step]
         nanogpt-hy.ladder [find-stage parameters-count])

(defn facts [run why-preset]
  "-> pairs of text: what RUN is about to do."
  (setv corpus run.corpus  c run.config
        drawn (!= (eval-iters run) "all")
        marks (yardsticks corpus c.block-size :drawn drawn)
        evaluated (cond
          drawn f"{(eval-iters run)} random batches of each part"
          (by-line corpus c.block-size) "the whole validation part, line by line"
          True "the whole validation part"))
  (+ [["text" (+ f"{corpus.path}: {corpus.characters :,} characters, "
                 f"{corpus.tokenizer.vocab-size :,} distinct tokens; "
                 f"{(len corpus.train) :,} to learn from, {(len corpus.val) :,} to judge by")]
      ["model" (+ f"stage {run.stage}: {(parameters-count run.model) :,} parameters, "
                  f"context {c.block-size}"
                 (if (. (find-stage run.stage) layered)
                   f", {c.n-layer} layers, {c.n-head} heads, {c.n-embd} channels" ""))]
      ["preset" why-preset]
      ["training" (+ f"{run.train.max-iters :,} steps of {(tokens-a-step run) :,} tokens; every "
                     f"{run.train.eval-interval :,} steps: {evaluated}")]
      ["device" (+ f"{run.device} ({run.device-reason}), {(threads run)}"
                   f"{(.removeprefix (str run.dtype) "torch.")} ({run.dtype-reason}), "
                   f"{(if run.compiled "compiled" "not compiled")} ({run.compile-reason})")]
      #* (processes run)
      ["guessing" (+ f"loses {(get marks "guessing") :.4f} nats per token, "
                     f"ln {corpus.tokenizer.vocab-size}")]
      ["counting" (+ f"pairs of tokens loses {(get marks "counting pairs") :.4f}"
                     (if (> (len corpus.train) COUNTED)
                       f", counted in the first {COUNTED :,}" ""))]]
     (if (is (get marks "floor") None)
       []
       [["floor" (+ f"{(get marks "floor") :.4f} is what the text's chain leaves to chance"
                    (if (is-not (get marks "floor here") None)
                      f"; in this validation part {(get marks "floor here") :.4f}" ""))]])
     (if run.folder [["folder" f"{run.folder}"]] [])))

(defn processes [run]
  "-> pairs of text: with which others RUN is trained, if there are any."
  (setv size run.group.size
        kept (if run.train.shard "a part of the model" "the whole model"))
  (if (is run.group ALONE)
    []
    [["processes" (+ f"{size}; each has {(// run.train.batch-size size)} of the "
                     f"{run.train.batch-size} windows of a batch, and {kept}")]]))

(defn threads [run]
  "How many threads compute, in words, where that is known."
  (setv n (if run.workers run.workers.threads (threads-for run.config)))
  (cond
    (!= run.device.type "cpu") ""
    (= n 1) "1 thread, "
    True f"{n} threads, "))

(defclass Place [ProgressColumn]
  "The step that RUN has come to; once it was told to stop, that it was: what it still finishes can
  take a minute, where a step is compiled or much is evaluated."
  (defn __init__ [self run]
    (.__init__ (super) (Column :no-wrap True))
    (setv self.run run))
  (defn render [self task]
    (if self.run.asked
      "stopping (Ctrl-C: at once)"
      f"step {(get task.fields "step")}")))

(defclass Rate [ProgressColumn]
  "Tokens a second over the last moments, as rich measures them."
  (defn render [self task]
    (setv speed (or task.speed 0))
    f"{speed :,.0f} tokens/s"))

(defclass Report []
  "The voice of a run. On a terminal one line lives; elsewhere only what stays is printed."

  (defn __init__ [self run]
    (setv self.console (console)
          self.run run
          self.rows 0
          self.progress (Progress (Place run) (BarColumn)
                                  (TextColumn "loss {task.fields[loss]}") (Rate)
                                  (TimeRemainingColumn)
                                  :console self.console :transient True
                                  :disable (not self.console.is-terminal))
          self.task None))

  (defn introduce [self why-preset]
    (setv table (Table.grid :padding #(0 2)))
    (.add-column table :no-wrap True)
    (.add-column table)
    (for [[name fact] (facts self.run why-preset)]
      (if self.console.is-terminal
        (.add-row table name fact)
        (.print self.console f"{name :<9} {fact}")))
    (when self.console.is-terminal
      (.print self.console table)))

  (defn __enter__ [self]
    (.start self.progress)
    (setv self.task (.add-task self.progress "train" :total (* self.run.train.max-iters
                                                               (tokens-a-step self.run))
                               :completed self.run.tokens
                               :step self.run.step :loss "-"))
    self)

  (defn __exit__ [self #* why]
    (.stop self.progress))

  (defn told [self run]
    (.update self.progress self.task :completed run.tokens :step f"{run.step :,}"
             :loss (if (is run.loss None) "-" f"{run.loss :.4f}")))

  (defn judged [self run row]
    (when (= self.rows 0)
      (.print self.console
        "   step  train loss  val loss        lr   tokens/s     time"))
    (setv self.rows (+ self.rows 1)
          speed (tokens-per-second run)
          speed (if speed f"{speed :,.0f}" "-")
          error (get row "val_error")
          best (= run.best {"val_loss" (get row "val_loss")  "step" run.step}))
    (.print self.console
      (+ f"{run.step :>7,}  {(get row "train_loss") :>10.4f}  {(get row "val_loss") :>8.4f}  "
         f"{(get row "lr") :>8.1e}  {speed :>9}  {(clock run.seconds) :>7}"
         (if error f"  ± {error :.4f}" "")
         (if best "  best" "")))
    (when (is-not self.task None)
      (.told self run)))

  (defn profiled [self profile]
    "Tables in between; the evaluations after them get a new head."
    (setv self.rows 0)
    (for [line (lines-of profile)]
      (.print self.console line))))
