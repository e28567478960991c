"Many processes, one run: how they find each other, agree, and part.

Each draws the whole batch and computes its own rows of it; torch's DistributedDataParallel, or
fully_shard, averages the gradients (parallel.hy). What is here is all else that they tell each
other. One that is ALONE may call all of it, and then nobody is asked; only `meet` and `highest` are
for many."

(eval-when-compile
  (require hyrule [unless]))
(import  contextlib [contextmanager]
         dataclasses [asdict]
         datetime [timedelta]
         os
         re
         signal
         socket
         sys
         threading [Event Thread]
         time [perf-counter]
         torch
         torch.distributed :as dist
         torch.distributed.rendezvous [rendezvous]
         nanogpt-hy [__version__]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.files [json-hash short]
         nanogpt-hy.lab.training.launch [ALONE claims joined-now launched voice])

(setv PATIENCE (timedelta :minutes 10)   ; with one that neither answers nor is known to be gone
      LATEST   20                        ; seconds after SIGTERM; after 30 torchrun kills
      PAUSE    0.2)                      ; seconds between two looks at the losses

;;; Meeting and parting

(defn first-to-say [store]
  "A function: whether this process is the first of all to ask, wherever they keep their STORE."
  (fn []
    (try
      (= (.add store "said" 1) 1)
      (except [RuntimeError] True))))    ; nobody is left to ask

(defn meet [group]
  "Find the other processes of GROUP, where torchrun says that they are."
  (unless (dist.is-available)
    (raise (RequestError (+ "this build of torch knows nothing of other processes: "
                            "start one without torchrun, or install another build"))))
  (setv [store _ _] (next (rendezvous "env://" :timeout PATIENCE))
        gpus (and (torch.cuda.is-available) (dist.is-nccl-available)))
  ;; What is on the CPU is told through gloo, what is on GPUs through NCCL.
  (dist.init-process-group (if gpus "cpu:gloo,cuda:nccl" "gloo")
    :store store :rank group.rank :world-size group.size :timeout PATIENCE)
  (.update joined-now :group group :store store)
  (.append claims (first-to-say store)))

(defn end-now []
  "Say what can still be said, and end this process."
  (when (setx name (voice))
    (print (+ f"{name}: told to stop, this process still waits for another one: "
              (way-on (get joined-now "run")))
           :file sys.stderr :flush True))
  (os._exit 1))

(defn [contextmanager] never-mute []
  "Within, a process that was told to end (SIGTERM) and has not done so LATEST seconds later does so
  with a line. It may wait, where no Python runs, for one that is gone; but a thread hears the
  signal too."
  (setv [heard tell] (socket.socketpair)
        done         (Event))
  (.setblocking tell False)
  (setv before (signal.set-wakeup-fd (.fileno tell) :warn-on-full-buffer False))
  (defn watch []
    (while (not-in (.recv heard 1) [(bytes [signal.SIGTERM]) b""]))     ; b"": nobody tells any more
    (unless (.wait done LATEST)
      (end-now)))
  (.start (Thread :target watch :daemon True))
  (try
    (yield)
    (finally
      (.set done)
      (signal.set-wakeup-fd before)
      (.close tell))))

(defn [contextmanager] joined []
  "Within, this process is one of those that torchrun started; -> Group."
  (setv group (launched))
  (when (is group ALONE)
    (yield group)
    (return))
  (try
    (with [_ (unless-one-dies group)
           _ (never-mute)]
      (meet group)
      (yield group))
    (except [BaseException]
      ;; torchrun ends the others of a process that failed; this one is about to end by itself.
      (signal.signal signal.SIGTERM signal.SIG-IGN)
      (raise)))
  (.update joined-now :group ALONE :store None :run None)
  (.clear claims)
  (dist.destroy-process-group))

(defn is-silence [error]
  "Whether ERROR, of a collective operation, says that another process is gone or does not answer."
  (or (isinstance error dist.DistError) (in "gloo" (str error)) (in "NCCL" (str error))))

(defn what-failed [error]
  "What ERROR says, in short, but for the file in which NCCL noticed it: that would be all of it."
  (short (re.sub r"NCCL error in: \S+, " "NCCL: " (str error))))

(defn way-on [run]
  "What is left to do when the training of RUN, or of none yet, has ended too early, in words."
  (if (and run run.folder (>= run.evaluated 0))
    (+ f"training stopped after step {run.step}, {run.folder} keeps the checkpoint of step "
       f"{run.evaluated}, go on with it by --resume")
    "nothing was saved yet, start again"))

(defn [contextmanager] unless-one-dies [group [run None]]
  "Within, the end of another process of GROUP is a WorkError that says from where RUN can go on."
  (.update joined-now :run run)
  (try
    (yield)
    (except [e RuntimeError]
      (unless (and (is-not group ALONE) (is-silence e))
        (raise))
      (raise (WorkError (+ f"another of the {group.size} processes has ended or does not answer "
                           f"({(what-failed e)}): {(way-on run)}"))
        :from e))))

;;; Telling each other

(defn total [group tensor]
  "(...) -> (...): the sum of all processes' TENSORs, the same in each."
  (unless (is group ALONE)
    (dist.all-reduce tensor))
  tensor)

(defn highest [numbers]
  "[int] -> [int]: the largest that any process gives, of each. Only for many processes."
  (setv numbers (torch.tensor numbers :dtype torch.int64))
  (dist.all-reduce numbers :op dist.ReduceOp.MAX)
  (.tolist numbers))

(defn leaders-word [name say]
  "-> str: the text that SAY gives in the first process, in all of them; NAME is how they call it."
  (setv [group store _] (.values joined-now))
  (when group.leads
    (setv word (str (say)))
    (unless (is group ALONE)
      (.set store name word))
    (return word))
  (.decode (.get store name) "utf-8"))

(defn fingerprint [run]
  "-> int: a number of 62 bits for all that must be the same in every process of a RUN."
  (setv facts [__version__ torch.__version__ run.corpus.sha256 (.state run.corpus.tokenizer)
               run.stage (asdict run.config) (asdict run.train) run.step run.device.type
               (str run.dtype)])
  (>> (int (cut (json-hash facts) 16) 16) 2))

(defn check-agreement [run]
  "RequestError if the processes are about to train different things."
  (unless (is run.group ALONE)
    (setv mark (fingerprint run)
          [most least] (highest [mark (- mark)]))
    (unless (= most (- least))
      (raise (RequestError (+ f"the {run.group.size} processes do not train the same: give each "
                              "machine the same text, options, checkpoint and versions, and the "
                              "same kind of device"))))))

;;; The rows of a batch

(defn check-shares [group train]
  "RequestError if the batches of a TrainConfig cannot be shared evenly, or not be drawn by all."
  (setv left (% train.batch-size group.size)
        less (- train.batch-size left)
        fits (if less f"{less} or " ""))
  (when left
    (raise (RequestError
      (+ f"--batch-size {train.batch-size} cannot be shared evenly by {group.size} processes: "
         f"use {fits}{(+ less group.size)}, or another number of processes"))))
  (when (and (= train.draws "published") (is-not group ALONE))
    (raise (RequestError (+ "--draws published is the order in which one process drew: "
                            "use --draws named, or start one process")))))

(defn own-rows [group batch]
  "(B T) (B T) -> (b T) (b T): this process's share of a batch that all have drawn alike."
  (if (is group ALONE)
    batch
    (lfor  part batch  (get (.chunk part group.size) group.rank))))

;;; Between steps

(defclass Pauses []
  "When a run pauses to look at its losses: a few times a second. Several processes must do so after
  the same step, so at each pause the first one says how many steps come before the next, and all
  hear whether one of them was told to stop. A pause for each step would cost more than a step of a
  small model."

  (defn __init__ [self group]
    (setv self.group group
          self.gap   1                 ; steps from the last pause to the next
          self.left  1                 ; how many of them are still to come
          self.since (perf-counter)))

  (defn due [self run elapsed]
    "Whether RUN is to pause after this step, ELAPSED seconds after the last pause."
    (when (is self.group ALONE)
      (return (> elapsed PAUSE)))
    (setv self.left (- self.left 1)
          now (= self.left 0))
    (when now
      (self.agree run))
    now)

  (defn agree [self run]
    (setv now  (perf-counter)
          fits (int (/ (* PAUSE self.gap) (- now self.since)))
          wish (if self.group.leads (min (max 1 fits) (* 2 self.gap)) 0)
          told (if run.asked (getattr signal run.asked) 0)
          [gap number] (highest [wish told]))
    (when number
      (setv run.stopping (. (signal.Signals number) name)))
    (setv self.gap gap  self.left gap  self.since now)))
