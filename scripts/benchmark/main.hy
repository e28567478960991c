"scripts/bench: which workloads, against whom, how long; a table and, if so asked, JSON."

(import  argparse [ArgumentParser ArgumentTypeError RawDescriptionHelpFormatter]
         contextlib [redirect-stdout]
         gc
         json
         os
         pathlib [Path]
         sys
         tempfile [TemporaryDirectory]
         torch
         benchmark.bench [open-bench]
         benchmark.checkout [Checkout]
         benchmark.report [machine results-of show]
         benchmark.timing [in-turn]
         benchmark.workloads [WORKLOADS]
         nanogpt-hy.config [nearest]
         nanogpt-hy.errors [RequestError UserError]
         nanogpt-hy.lab.files [check-new write-atomic]
         nanogpt-hy.lab.training.compiling [lacking])

(setv ABOUT #[[
Times nanogpt-hy beside others, in turn and on this machine, and prints ratios: how many times as
long as ours the others take. The peers are the course's own plain model, which is the lecture's
form (separate heads, attention written out; its own AdamW and train-step), nanoGPT, if --nanogpt
names a checkout of it, and for sampling transformers, if it is installed. Nothing here fails
because of a time.

The table goes to stdout, progress to stderr. Leave the machine alone meanwhile.
]])

(defclass Parser [ArgumentParser]
  "An ArgumentParser whose errors are ours: one line."
  (defn error [self message]
    (raise (RequestError f"{message}: see scripts/bench --help"))))

(defn whole-number [text]
  "text -> int, 1 or more."
  (when (not (and (.isdecimal text) (> (int text) 0)))
    (raise (ArgumentTypeError f"{text} is not a whole number of 1 or more")))
  (int text))

(defn seconds [text]
  "text -> float, more than 0 and no more than an hour."
  (setv number (float text))
  (when (not (< 0 number 3600))
    (raise (ArgumentTypeError f"{text} seconds are not more than 0 and less than an hour")))
  number)

(defn parser []
  "What can be asked for."
  (setv listed (.join "\n" (lfor  [name w] (.items WORKLOADS)
                                  f"  {name :<10} {w.what}{(if w.long " (long)" "")}"))
        parser (Parser :prog "scripts/bench" :description ABOUT
                       :epilog (+ "workloads:\n" listed)
                       :formatter-class RawDescriptionHelpFormatter)
        add    parser.add-argument)
  (add "names" :nargs "*" :metavar "WORKLOAD" :help "default: those that are not long")
  (add "--all" :action "store_true" :help "the long ones too")
  (add "--nanogpt" :metavar "DIR"
       :help "a checkout of nanoGPT; its model.py is imported and its train.py run")
  (add "--compile" :action "store_true" :help "our training compiled too, its peers not")
  (add "--dtype" :choices ["float32" "bfloat16"] :default "float32"
       :help "what all compute in when they train and are evaluated on the CPU; default float32")
  (add "--rounds" :type whole-number :default 5 :metavar "N" :help "rounds; default 5")
  (add "--seconds" :type seconds :default 1.0 :metavar "S"
       :help "about so long for each side in a round; default 1")
  (add "--json" :metavar "FILE" :help "all figures, rewritten after each workload")
  parser)

(defn chosen [asked]
  "-> names of the workloads that are ASKED for."
  (for [name asked.names]
    (when (not-in name WORKLOADS)
      (raise (RequestError f"there is no workload {name}: {(nearest name WORKLOADS)}"))))
  (or asked.names
      (lfor  [name w] (.items WORKLOADS)
             :if (and (or asked.all (not w.long))
                      (or (not w.needs-gpu) (torch.cuda.is-available)))
             name)))

(defn check-request [asked]
  "RequestError for what would come to light only after minutes."
  (when asked.json
    (check-new (Path asked.json) :overwrite True))
  (setv lack (when asked.compile (lacking (torch.device "cpu"))))
  (when lack
    (raise (RequestError f"--compile: {lack}; install it, or leave that out"))))

(defn say [text]
  (print text :file sys.stderr :flush True))

(defn run-workload [name bench asked]
  "-> [dict]: the results of the workload NAME."
  (setv results [])
  (for [make (. WORKLOADS [name] contests)]
    (setv contest (make bench)
          timed   (in-turn [#* contest.ours #* contest.peers]
                           :rounds asked.rounds :seconds asked.seconds
                           :told (fn [what] (say f"{contest.title}: {what}"))))
    (.extend results (results-of name contest timed))
    (setv contest None  timed None)
    (gc.collect))                       ; the next contest has the memory to itself
  results)

(defn empty-report [bench asked]
  "-> dict: all that goes without running anything."
  {"machine" (machine)  "rounds" asked.rounds  "seconds" asked.seconds  "dtype" asked.dtype
   "text" {"name" (. (Path bench.corpus.path) name)  "characters" bench.corpus.characters}
   "results" []})

(defn fill [report names bench asked]
  "Run these workloads; what is done is in the REPORT, and in the file --json, after each of them."
  (for [name names]
    (.extend (get report "results") (run-workload name bench asked))
    (when asked.json
      (write-atomic asked.json (+ (json.dumps report :indent 1) "\n")))))

(defn bench-of [asked]
  "Do what is ASKED; -> exit code."
  (setv names (chosen asked))
  (check-request asked)
  (setv nanogpt (when asked.nanogpt (Checkout asked.nanogpt)))
  (with [folder (TemporaryDirectory :prefix "nanogpt-hy-bench-" :ignore-cleanup-errors True)]
    ;; So that compiling is always cold, and leaves nothing behind.
    (setv (get os.environ "TORCHINDUCTOR_CACHE_DIR") (os.path.join folder "caches" "bench")
          bench  (open-bench (Path folder) nanogpt asked.compile asked.dtype)
          report (empty-report bench asked))
    (try
      (with [_ (redirect-stdout sys.stderr)]        ; what peers print is no result
        (fill report names bench asked))
      (finally                                      ; also after Ctrl-C, or when a peer failed
        (when (get report "results")
          (show report sys.stdout)))))
  0)

(defn main [arguments]
  "[str] -> exit code."
  (try
    (bench-of (.parse-args (parser) arguments))
    (except [e UserError]
      (say f"scripts/bench: {e}")
      e.exit-code)
    (except [KeyboardInterrupt]
      130)))
