"The commands: what the command line calls, one function each. Data to stdout, the rest to stderr."

(eval-when-compile
  (require hyrule [unless]))
(import  contextlib [ExitStack nullcontext]
         os
         pathlib [Path]
         shlex
         sys
         time [perf-counter]
         rich.progress [DownloadColumn TransferSpeedColumn]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.checkpoints.checkpoint [newest-checkpoint]
         nanogpt-hy.lab.checkpoints.trained [open-model]
         nanogpt-hy.lab.console [clock console plain-console progress-bar]
         nanogpt-hy.lab.data.corpus [read-corpus]
         nanogpt-hy.lab.data.prepare [prepare-text]
         nanogpt-hy.lab.data.texts [read-text]
         nanogpt-hy.lab.explaining [explain-texts]
         nanogpt-hy.lab.files [as-argument held]
         nanogpt-hy.lab.sampler [sample-texts Settings]
         nanogpt-hy.lab.training.device [choose-device fit-free-threads]
         nanogpt-hy.lab.training.launch [again]
         nanogpt-hy.lab.training.memory [enough-memory]
         nanogpt-hy.lab.training.parallel [is-sharded]
         nanogpt-hy.lab.training.processes [check-agreement joined leaders-word unless-one-dies]
         nanogpt-hy.lab.training.profile [profile-steps]
         nanogpt-hy.lab.training.report [Report]
         nanogpt-hy.lab.training.resume [resume-run]
         nanogpt-hy.lab.training.session [begin chosen-preset EXIT-CODES go new-folder new-run
                                          read-settings RUNS tuned-run]
         nanogpt-hy.lab.training.summary [in-words summary]
         nanogpt-hy.lab.training.tensorboard [curves summary-writer]
         nanogpt-hy.lab.training.trainer [steps])

;;; train

(defn open-run [text * stage preset config tokenizer out resume init-from options hold]
  "-> Run, and why it has its hyperparameters, in words. HOLD keeps others out of a folder that is
  to be gone on with."
  (setv settings (if config (read-settings config) {}))
  (when (and resume init-from)
    (raise (RequestError "--resume goes on with a run, --init-from begins one: give one of them")))
  (for [[option value] [["--preset" preset] ["--stage" stage] ["--tokenizer" tokenizer]]]
    (when (= value "")
      (raise (RequestError f"{option} is empty: give a name, or leave it out"))))
  (for [[option value] [["--stage" stage] ["--tokenizer" tokenizer]]]
    (when (and init-from value)
      (raise (RequestError f"--init-from brings its own {option}: leave that out"))))
  (when resume
    (setv folder (or out (leaders-word "newest run"
                           (fn [] (. (newest-checkpoint RUNS :names ["last"]) parent)))))
    (when (os.path.isdir folder)
      (hold folder))
    (return [(resume-run text :folder folder :stage stage :preset-name preset :tokenizer tokenizer
                         :settings settings #** options)
             "as the run was begun"]))
  (setv trained (when init-from (open-model init-from))
        corpus (read-corpus text :tokenizer (if trained trained.tokenizer tokenizer))
        [name why] (chosen-preset corpus preset (| settings options))
        words (+ f"{name} ({why})" (if config f", over it {config}" "")))
  (if trained
    [(tuned-run corpus trained :preset-name name :settings settings :folder out #** options)
     f"{words}, weights from {init-from}"]
    [(new-run corpus :stage stage :preset-name name :settings settings :folder out #** options)
     words]))

(defn folder-after [text]
  "-> Path: a new folder, named after the file TEXT; the first process makes it and tells all."
  (setv name (. (Path text) stem))
  (Path (leaders-word "folder" (fn [] (new-folder name)))))

(defn watched-steps [report]
  "`steps`, but watched; REPORT shows where their time went."
  (fn [run count * [told None]]
    (setv profile (profile-steps run count :told told))
    (when profile
      (.profiled report profile))))

(defn train [text * [tensorboard False] [profile False] #** request]
  "`nanogpt-hy train`: train on TEXT as the REQUEST (see open-run) says, in one process or many; ->
  exit code."
  (when tensorboard
    (summary-writer))                   ; if it is missing, that is known before anything is done
  (with [group (joined)
         folders (ExitStack)]
    (defn hold [folder]
      (when group.leads
        (.enter-context folders (held folder))))
    (setv [run why] (open-run text :hold hold #** request)
          report (Report run))
    (with [_ (unless-one-dies group run)]
      (check-agreement run)
      (unless (get request "resume")
        (setv run.folder (or run.folder (folder-after text)))
        (begin run hold))
      (when group.leads
        (.introduce report (+ why (if run.step f"; goes on at step {run.step :,}" ""))))
      (with [_ report
             _ (enough-memory run)
             _ (if (and tensorboard group.leads) (curves run) (nullcontext))]
        (setv end (go run :told report.told :judged report.judged
                      :first-steps (if profile (watched-steps report) steps))))
      (last-words run end))))

(defn last-words [run end]
  "Say what RUN, which has come to its END, came to; -> exit code."
  (setv say (. (console) print)
        folder (shlex.quote (as-argument run.folder)))
  (say "")
  (for [[name fact] (in-words (summary run) run.device)]
    (say f"{name :<9} {fact}"))
  (when run.stopping
    (say (+ f"\nstopped by {run.stopping}: saved at step {run.step :,}. Go on with:\n  "
            (resume-command run)))
    (return (get EXIT-CODES run.stopping)))
  (say (+ f"\n{end}, {(clock run.seconds)} of training; the best validation loss is "
          f"{(get run.best "val_loss") :.4f}, at step {(get run.best "step") :,}"))
  (when (and run.group.leads (not (is-sharded run.model)))   ; who knows whether one device holds it
    (show-sample run))
  (say f"\nMore of it:\n  nanogpt-hy sample --ckpt {folder}")
  0)

(defn resume-command [run]
  "The command that goes on with RUN."
  (shlex.join (again run.group ["train" (as-argument run.corpus.path)
                                "--out" (as-argument run.folder) "--resume"])))

(defn show-sample [run]
  "Print what the best weights of RUN write, to stderr."
  (setv trained (open-model run.folder :device run.device)
        out (. (console) file))
  (print "\nIt writes:\n" :file out)
  (with [_ (fit-free-threads trained.config)]
    (sample-texts trained.model trained.tokenizer out :block-size trained.config.block-size
                  :starts run.corpus.starts
                  :settings (Settings :max-new-tokens 200 :seed run.train.seed))))

;;; sample

(defn read-prompt [prompt prompt-file]
  "The prompt, from the option or from a file."
  (cond
    (is prompt-file None) (or prompt "")
    (is-not prompt None)
      (raise (RequestError "--prompt and --prompt-file say two prompts: give one of them"))
    True (read-text prompt-file)))

(defn sample [* ckpt prompt prompt-file explain device #** settings]
  "`nanogpt-hy sample`: write texts to stdout, SETTINGS being the sampler's; -> exit code."
  (setv settings (Settings #** settings)
        prompt (read-prompt prompt prompt-file)
        trained (open-model ckpt :device (get (choose-device device) 0))
        how {"prompt" prompt  "settings" settings
             "starts" (.get (get trained.meta "data") "starts")
             "block_size" trained.config.block-size})
  (with [_ (fit-free-threads trained.config)]
    (if explain
      (explain-texts trained.model trained.tokenizer (plain-console) #** how)
      (sample-texts trained.model trained.tokenizer sys.stdout #** how)))
  0)

;;; prepare

(defn prepare [text out * tokenizer overwrite]
  "`nanogpt-hy prepare`: write the token file OUT of TEXT; -> exit code."
  (setv started (perf-counter)
        size    (if (os.path.exists text) (os.path.getsize text) 0))
  (with [told (progress-bar "reading, then encoding" (* 2 size)
                            (DownloadColumn) (TransferSpeedColumn))]
    (setv made (prepare-text text out :tokenizer tokenizer :overwrite overwrite :told told)))
  (setv [tokens train] [(get made "tokens") (get made "train_tokens")])
  (.print (console)
    (+ f"{text}: {(get made "characters") :,} characters, {(get made "vocab_size") :,} distinct "
       f"tokens; {train :,} to learn from, {(- tokens train) :,} to judge by; written in "
       f"{(clock (- (perf-counter) started))}"))
  (print out)
  0)
