"The long run: a training step in a loop, and how good the model is by now. The step is the
course's, or its twin in workers.hy, for several cores.

A Run can be driven from a REPL, a few steps at a time, and looked at in between:

  (import nanogpt-hy.lab.training.session [new-run]
          nanogpt-hy.lab.training.trainer [evaluate steps])
  (setv run (new-run \"data/ab.txt\" :max-iters 500))
  (steps run 100)
  (evaluate run)"

(eval-when-compile
  (require hyrule [unless]
           nanogpt-hy.notation [deflayer]))
(import  contextlib [contextmanager nullcontext]
         functools [partial]
         math [isfinite]
         pathlib [Path]
         signal
         threading
         time [perf-counter]
         torch
         torch.nn :as nn
         nanogpt-hy.course [draw-batch train-step]
         nanogpt-hy.errors [WorkError]
         nanogpt-hy.lab.data.corpus [check-block-size]
         nanogpt-hy.lab.training.compiling [choose-compile Compiled]
         nanogpt-hy.lab.training.descent [Descent learning-rate-at]
         nanogpt-hy.lab.training.device [choose-dtype deterministic fit-threads NARROW precision
                                         sent with-threads]
         nanogpt-hy.lab.training.evaluation [all-of drawn-batches mean-loss]
         nanogpt-hy.lab.training.launch [ALONE here]
         nanogpt-hy.lab.training.parallel [is-sharded own-device placed together]
         nanogpt-hy.lab.training.phases [in-phase phase STEP]
         nanogpt-hy.lab.training.processes [check-agreement check-shares own-rows Pauses total]
         nanogpt-hy.lab.training.randomness [default-state named-generator named-seed seeded-state
                                             set-default-state]
         nanogpt-hy.lab.training.workers [is-recorded train-step :as train-step-by-hand  Workers]
         nanogpt-hy.ladder [build-model]
         nanogpt-hy.products [quick-products])

(defn [contextmanager] at-work [run]
  "Within, torch's default generator is the run's own, it has as many threads as suit the model and,
  if so asked, only deterministic algorithms; outside, it is as if nothing had happened."
  (setv outside (default-state run.device))
  (set-default-state run.default-state run.device)
  (try
    (with [_ (fit-threads run.config)
           ;; Only where it is asked for: the very setting of it loads torch's compiler.
           _ (if run.train.deterministic (deterministic) (nullcontext))]
      (yield))
    (finally
      (setv run.default-state (default-state run.device))
      (set-default-state outside run.device))))

;;; The run

(deflayer Forward [model device dtype scaler wide]
  "(B T) -> (B T V): MODEL, computing in DTYPE; in float16 gradients are scaled up on their way in.
  WIDE: so that in training it pays to look who computes products. (In evaluation that is done.)"
  [model  model
   device device
   dtype  dtype
   scaler scaler
   wide   wide]
  (forward [self ids]
    (with [_ (phase "forward")
           _ (precision self.device self.dtype)
           _ (if (and self.wide (torch.is-grad-enabled))
               (quick-products self.device)
               (nullcontext))]
      (setv logits (.float (self.model ids))))
    (when (and self.scaler logits.requires-grad)
      (.register-hook logits self.scaler.scale))
    logits))

(defclass Run []
  "A model in training: where it stands, and all that decides how it goes on."

  (defn __init__ [self corpus config train * [stage "gpt"] [folder None]]
    (check-block-size corpus config.block-size)
    (setv self.group (here))           ; the processes that train it
    (check-shares self.group train)
    (setv self.corpus corpus  self.config config  self.train train  self.stage stage
          self.folder (when folder (Path folder))
          [self.device self.device-reason] (own-device self.group train.device)
          [self.dtype self.dtype-reason] (choose-dtype train.dtype self.device config :stage stage
                                                         :draws train.draws)
          [self.compiled self.compile-reason]
            (choose-compile self.device config train
                            :recorded (and (by-hand self) (is-recorded config)))
          self.step 0  self.tokens 0  self.seconds 0.0
          self.warm None                   ; tokens and seconds after the first step here
          self.listeners []                ; who hears of each row of metrics
          self.loss None                   ; of the last step that was looked at
          self.pending []                  ; losses of later steps, still on the device
          self.evaluated -1                ; step of the last evaluation
          self.best {"val_loss" None  "step" None}
          self.stale 0                     ; evaluations since the best
          self.asked None                  ; the signal by which this process was told to stop
          self.stopping None               ; the same, once all processes know: no step follows
          self.pauses (Pauses self.group)
          self.generators (dfor  name ["batches" "evaluation"]
                                 name (when (= train.draws "named")
                                        (named-generator train.seed name))))
    (check-agreement self)
    (draw-model self)
    (make-step self))

  (defn __repr__ [self]
    f"<Run: {self.stage} on {self.corpus.path}, step {self.step} of {self.train.max-iters}>"))

(defn draw-model [run]
  "Draw the first weights of RUN, and its first batch where that comes so early."
  (setv run.default-state (seeded-state run.train.seed run.device))
  (with [_ (at-work run)]
    (setv run.model (placed run.group
                            (build-model run.stage run.config :init run.train.init)
                            run.device run.dtype run.train.shard)
          run.ahead (when (draws-ahead run) (fresh-batches run))))
  (own-dropout run))

(defn make-step [run]
  "Give RUN what computes its losses and what takes its steps."
  (setv run.scaler (when (= run.dtype torch.float16) (torch.amp.GradScaler run.device.type))
        run.optimizer (Descent run.model run.train :scaler run.scaler
                               :flat (and (= run.device.type "cpu")
                                          (not (is-sharded run.model))))
        run.workers (when (by-hand run)
                      (Workers run.model run.config run.optimizer.adamw
                               (fn [i] (named-generator run.train.seed f"dropout {i} {run.step}"))
                               :compiled run.compiled :dtype run.dtype))
        model (if (and run.compiled (not run.workers)) (Compiled run.model) run.model)
        run.forward (Forward (together run.group model run.train.gradient-accumulation-steps)
                             run.device run.dtype run.scaler
                             (and (not run.compiled) (> run.config.n-embd NARROW)))
        run.train-step (if run.workers
                         (partial train-step-by-hand run.workers run.optimizer)
                         (partial train-step run.forward run.optimizer))))

(defn by-hand [run]
  "Whether the written-out gradient serves: it is that of fast's GPT on a CPU, in one process, it
  scales nothing, and draws dropout in an order of its own."
  (and (= run.stage "fast") (= run.device.type "cpu") (!= run.dtype torch.float16)
       (is run.group ALONE)
       (not (and run.config.dropout (= run.train.draws "published")))))

(defn own-dropout [run]
  "Let the process that RUN is in drop out other activations than the others do."
  (when run.group.rank
    (setv name f"dropout {run.group.rank} {run.step}"
          run.default-state (seeded-state (named-seed run.train.seed name) run.device))))

(defn draws-ahead [run]
  "nanoGPT draws a batch before the evaluation that precedes its step; the lecture draws it after."
  (and (= run.train.draws "published") (= run.stage "fast")))

(defn [(in-phase "draw the batch")] fresh-batches [run]
  "The batches of one step, or this process's share of each."
  (lfor  _ (range run.train.gradient-accumulation-steps)
    (own-rows run.group
      (draw-batch run.corpus.train :batch-size run.train.batch-size
                  :block-size run.config.block-size :generator (get run.generators "batches")))))

(defn [(in-phase "copy the batch")] on-device [batches device]
  "The same batches, where the model is."
  (lfor  [x y] batches  [(sent x device) (sent y device)]))

(defn [(in-phase STEP)] one-step [run]
  "Train one step. The loss stays on the device until somebody looks."
  (setv batches (or run.ahead (fresh-batches run)))
  (.set-rate run.optimizer (learning-rate-at run.train run.step))
  (.append run.pending (run.train-step #* (on-device batches run.device)))
  (setv run.ahead (when (draws-ahead run) (fresh-batches run))
        run.step (+ run.step 1)
        run.tokens (+ run.tokens (tokens-a-step run))))

(defn tokens-a-step [run]
  (* run.train.batch-size run.config.block-size run.train.gradient-accumulation-steps))

(defn check-finite [run name loss]
  "WorkError, which calls it the NAME, if a LOSS of RUN is no number."
  (unless (isfinite loss)
    (raise (WorkError (+ f"the {name} is {loss}: training stopped"
                         (if (and run.folder (>= run.evaluated 0))
                           f", {run.folder} keeps the checkpoint of step {run.evaluated}" "")
                         "; try a smaller --learning-rate"
                         (if run.train.grad-clip "" " or a --grad-clip"))))))

(defn look [run]
  "Bring the losses of the last steps home; WorkError if one of them is not finite. Many processes
  do so after the same step."
  (when run.pending
    (setv losses (.tolist (/ (total run.group (torch.stack run.pending)) run.group.size))
          first-step (- run.step (len losses)))
    (.clear run.pending)
    (for [[i loss] (enumerate losses)]
      (check-finite run f"loss of step {(+ first-step i)}" loss))
    (setv run.loss (get losses -1)))
  run.loss)

(defn hears-signals []
  "Whether this is the main thread, which alone hears signals."
  (is (threading.current-thread) (threading.main-thread)))

(defn [contextmanager] held-interrupts []
  "Within, the first Ctrl-C is only noted in what is given, and interrupts at the end; a second one
  does at once. Nothing else is done where others see to Ctrl-C, or in another thread."
  (setv noted [])
  (defn note [number frame]
    (when noted
      (raise (KeyboardInterrupt)))
    (.append noted number))
  (setv held (and (hears-signals)
                  (is (signal.getsignal signal.SIGINT) signal.default-int-handler)))
  (when held
    (signal.signal signal.SIGINT note))
  (try
    (yield noted)
    (finally
      (when held
        (signal.signal signal.SIGINT signal.default-int-handler))))
  (when noted
    (raise (KeyboardInterrupt))))

(defn steps [run count * [told None]]
  "Train COUNT steps, fewer if the run is told to stop; -> the last loss. TOLD is called with the
  run a few times a second. Ctrl-C lets a step be finished. (It is `go` that ends at max-iters.)"
  (setv started (perf-counter))
  (with [interrupts (held-interrupts)]
    (with [_ (at-work run)
           _ (if run.workers (with-threads run.workers.threads-each) (nullcontext))]
      (for [_ (range count)]
        (when (or run.stopping interrupts)
          (break))
        (one-step run)
        (unless run.warm
          (look run)
          (setv run.warm [run.tokens (+ run.seconds (- (perf-counter) started))]))
        (setv now (perf-counter))
        (when (.due run.pauses run (- now started))
          (setv run.seconds (+ run.seconds (- now started))  started now)
          (look run)
          (when told
            (told run)))))
    (setv loss (look run)              ; a GPU is not done before
          run.seconds (+ run.seconds (- (perf-counter) started))))
  loss)

;;; Evaluation

(defn eval-iters [run]
  "Batches in the evaluation of a split, or all: all where that costs less than a quarter of the
  training between two evaluations. A training step costs about three times its forward pass."
  (setv chosen run.train.eval-iters
        trained (* 3 (tokens-a-step run) run.train.eval-interval))
  (cond
    (!= chosen "auto") chosen
    (<= (* 2 (len run.corpus.val)) (/ trained 4)) "all"
    True 200))

(defn batches-of [run ids]
  "What the model is judged by on one part: batches of IDS. Of the training part as much as there is
  of the validation part."
  (setv count (eval-iters run)
        every (max 1 (// (len ids) (len run.corpus.val))))
  (if (= count "all")
    (all-of run.corpus ids run.config.block-size :every every :device run.device)
    (drawn-batches ids count :batch-size run.train.batch-size :block-size run.config.block-size
                   :generator (get run.generators "evaluation"))))

(defn evaluate [run]
  "-> the losses of both parts in nats per token, as metrics.jsonl has them. The training goes on as
  if it had not been asked, but for --draws published, whose one generator draws batches too."
  (setv started (perf-counter))
  (with [_ (at-work run)]
    (defn loss-on [ids]
      (mean-loss run.forward (batches-of run ids) :device run.device :group run.group))
    (setv [train-loss _]       (loss-on run.corpus.train)
          [val-loss val-error] (loss-on run.corpus.val)))
  {"event" "eval"  "step" run.step  "train_loss" train-loss  "val_loss" val-loss
   "val_error" (if (= (eval-iters run) "all") 0.0 val-error)
   "lr" (learning-rate-at run.train run.step)  "tokens" run.tokens
   "seconds" (round run.seconds 3)  "eval_seconds" (round (- (perf-counter) started) 3)})
