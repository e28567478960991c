"What each of the processes of test_many_processes.hy does: train, one run after another, together
with the others, and write down what it saw."

(import  json
         os
         sys
         pathlib [Path]
         torch
         nanogpt-hy.__main__ [main]
         nanogpt-hy.lab.training.processes :as processes
         nanogpt-hy.lab.training.processes [joined]
         nanogpt-hy.lab.training.resume [resume-run]
         nanogpt-hy.lab.training.session [begin go new-run]
         nanogpt-hy.lab.training.trainer :as trainer)

(setv TINY {"preset_name" "ab"  "n_layer" 2  "n_embd" 8  "n_head" 2  "batch_size" 12
            "max_iters" 20  "eval_interval" 10  "lr_decay_iters" 80  "device" "cpu"
            "compile" "off"})

(defn trained [text options * [stage None] [folder None] [resume False]]
  "-> dict: what a run of TINY, or one gone on with, comes to in this process."
  (setv run (if resume
              (resume-run text :folder folder #** options)
              (new-run text :stage stage :folder folder #** (| TINY options)))
        rows [])
  (when (and folder (not resume))
    (begin run))
  (setv draws (with [_ (trainer.at-work run)] (.tolist (torch.rand 4))))
  (go run :judged (fn [run row]
                    (.append rows (lfor  k ["step" "train_loss" "val_loss" "val_error"]
                                         (get row k)))))
  {"rows" rows  "loss" run.loss  "draws" draws})

(defn watch [folder]
  "-> list, which will hold every change to the files in FOLDER that this process makes."
  (setv seen [])
  (defn note [event arguments]
    (setv path (if arguments (get arguments 0) None)
          reads (and (= event "open") (not (& (get arguments 2) (| os.O-WRONLY os.O-RDWR)))))
    (when (and (in event ["open" "os.rename" "os.remove" "os.mkdir"]) (not reads)
               (isinstance path #(str Path)) (.startswith (str path) folder))
      (.append seen [event (str path)])))
  (sys.addaudithook note)
  seen)

(defn acts [job out]
  "Train each run of JOB, together with the others, and write what came of it into the folder OUT."
  (setv job (json.loads (.read-text (Path job)))
        changed (watch (get job "runs")))
  (with [group (joined)]
    (setv found (lfor  act (get job "acts")  (trained (get job "text") #** act))))
  (.write-text (/ (Path out) f"{group.rank}.json")
               (json.dumps {"found" found  "changed" changed})))

(defn fails [#* words]
  "A training whose second process runs out of memory after 25 steps."
  (setv rate-at trainer.learning-rate-at)
  (defn limited [train step]
    (when (and (= step 25) (= (os.environ.get "RANK") "1"))
      (raise (MemoryError)))
    (rate-at train step))
  (setv trainer.learning-rate-at limited)
  (sys.exit (main (list words))))

(defn stalls [#* words]
  "A training that says sooner than others that it still waits."
  (setv processes.LATEST 2)
  (sys.exit (main (list words))))

(defn differs [#* words]
  "A training whose second process has one more option, the last two of WORDS."
  (setv here (if (= (os.environ.get "RANK") "1") words (cut words -2)))
  (sys.exit (main (list here))))
