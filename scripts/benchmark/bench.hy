"What the workloads have in common: a text, its files for nanoGPT, processes, what a contest is."

(import  dataclasses [dataclass field]
         os
         pathlib [Path]
         random [Random]
         string [ascii-letters]
         subprocess
         sys
         numpy :as np
         torch
         benchmark.timing [Side]
         nanogpt-hy.errors [WorkError]
         nanogpt-hy.lab.data.corpus [Corpus read-corpus]
         nanogpt-hy.lab.exchange.nanogpt [words-of]
         nanogpt-hy.lab.files [write-atomic]
         nanogpt-hy.lab.training.device [precision])

(setv DATA       (/ (. (Path __file__) (resolve) parent parent parent) "data")
      CHARACTERS 1,115,394                  ; in tiny Shakespeare
      ALPHABET   (+ ascii-letters " !$&',-.3:;?\n"))     ; its 65 characters

(defclass [(dataclass :frozen True)] Bench []
  "What all workloads work with; FOLDER is for their files and is gone at the end."
  #^ Corpus corpus
  #^ Path folder
  #^ object nanogpt                         ; a Checkout, or None
  #^ bool compile                           ; whether our compiled form is timed too
  (setv #^ str dtype "float32")             ; in which all train and evaluate

  (defn precision [self device]
    "The context in which they do so."
    (precision device (getattr torch self.dtype))))

(defclass [(dataclass :frozen True :kw-only True)] Contest []
  "The ways of OURS against those of PEERS, all told in seconds a UNIT, or as so many units a second
  where RATE names that."
  #^ str title
  #^ str unit
  #^ list ours                              ; of Sides
  (setv #^ list peers (field :default-factory list)
        #^ str rate ""
        #^ float flops 0                    ; floating-point operations in a unit, if they are told
        #^ (| float None) peak None))       ; and how many the device is capable of in a second

;;; The text

(defn made-up-text []
  "As many characters as tiny Shakespeare has, of its alphabet, in lines, but drawn by lot."
  (.join "" (.choices (Random 1337) ALPHABET :k CHARACTERS)))

(defn text-path [folder]
  "-> Path: where tiny Shakespeare is, or a text made up in FOLDER."
  (setv named   (os.environ.get "TINY_SHAKESPEARE")
        fetched (/ DATA "tinyshakespeare.txt")
        made-up (/ folder "made-up.txt"))
  (cond
    named              (Path named)
    (.is-file fetched) fetched
    True               (do (write-atomic made-up (made-up-text)) made-up)))

(defn write-bins [corpus folder]
  "What nanoGPT's prepare.py would have written for CORPUS: train.bin, val.bin and meta.pkl."
  (.mkdir folder :parents True :exist-ok True)
  (for [[name ids] [["train.bin" corpus.train] ["val.bin" corpus.val]]]
    (write-atomic (/ folder name) (.tobytes (.astype (.numpy ids) np.uint16))))
  (write-atomic (/ folder "meta.pkl") (words-of corpus.tokenizer)))

(defn open-bench [folder nanogpt compile [dtype "float32"]]
  "-> Bench, its FOLDER filled with what NANOGPT (a Checkout, or None) reads."
  (setv corpus (read-corpus (str (text-path folder))))
  (write-bins corpus (/ folder "bins"))
  (Bench corpus folder nanogpt compile dtype))

;;; Processes

(defn run-process [command * [cwd None] [env {}]]
  "Run COMMAND to its end, its output kept away; WorkError with its last words if it fails."
  (setv done (subprocess.run (list (map str command)) :cwd cwd :env {#** os.environ #** env}
                             :stdin subprocess.DEVNULL :capture-output True :text True))
  (when done.returncode
    (setv words (get ["" #* (.splitlines done.stdout) #* (.splitlines done.stderr)] -1))
    (raise (WorkError (+ f"{(.join " " (map str (cut command 1 4)))} failed ({words}): "
                         "leave its workload out, or mend that")))))

(defn nanogpt-hy [#* arguments]
  "The command of our command line with these ARGUMENTS."
  [sys.executable "-m" "nanogpt_hy" #* arguments])

(defn process [name command * [cwd None] [env {}] [warmed-up True]]
  "-> Side: COMMAND, or what a function of that name makes of it anew each time, as a process."
  (Side name
        (fn [pieces]
          (for [_ (range pieces)]
            (run-process (if (callable command) (command) command) :cwd cwd :env env)))
        :warmed-up warmed-up :pieces 1))
