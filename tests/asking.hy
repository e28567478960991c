"What the tests of the command line share: commands run in this process, and errors of one line."

(import  os
         shutil
         nanogpt-hy.__main__ [main]
         nanogpt-hy.lab.data.chain-files [write-data]
         nanogpt-hy.lab.data.markov [ab-chain])

(setv QUICK {"--n-layer" 1  "--n-head" 2  "--n-embd" 8  "--block-size" 16  "--batch-size" 4
             "--max-iters" 4  "--eval-interval" 2  "--eval-iters" 1  "--device" "cpu"})

(defn quick [#* words]
  "The options of a training that takes a moment, with WORDS, options and values, over them.
  (quick \"--n-layer\" 2)  ; => ['--n-layer', 2, '--n-head', 2, …]"
  (setv given (dict (zip (cut words None None 2) (cut words 1 None 2))))
  (lfor  pair (.items (| QUICK given))  word pair  word))

(defclass Said []
  "How a command ended and what it wrote."
  (defn __init__ [self code out err]
    (setv self.code code  self.out out  self.err err))

  (defn __repr__ [self]
    f"<exit {self.code}, out {self.out !r}, err {self.err !r}>"))

(defn words-of [arguments]
  "Arguments as the command line gets them."
  (list (map str arguments)))

(defn asker [capsys]
  "A function that runs a command in this process, where torch is loaded already; -> Said."
  (fn [#* arguments]
    (.readouterr capsys)
    (setv code (main (words-of arguments))
          said (.readouterr capsys))
    (Said code said.out said.err)))

(defn line-of [said [code 2]]
  "The one line of a refusal, which is as every refusal should be: on stderr, with the name of the
  program before it, a colon between the fact and the way out, no traceback, nothing on stdout."
  (assert (= said.code code) said)
  (assert (= said.out "") said)
  (setv lines (.splitlines said.err))
  (assert (= (len lines) 1) said.err)
  (assert (.endswith said.err "\n"))
  (assert (not-in "Traceback" said.err))
  (assert (< (len said.err) 700))
  (setv [name fact] (.split (get lines 0) ": " 1))
  (assert (= name "nanogpt-hy"))
  (assert (in ": " fact))
  fact)

(defn refused [said #* parts  [code 2]]
  "Assert that SAID is a refusal with all PARTS in its line."
  (setv line (line-of said code))
  (for [part parts]
    (assert (in part line) line)))

(defn make-home [folder]
  "A folder with ab.txt, the chain beside it, and a run in runs/ab that was trained on it."
  (setv before (os.getcwd))
  (write-data (/ folder "ab.txt") (ab-chain) 300 :seed 1)
  (try
    (os.chdir folder)
    (assert (= 0 (main (words-of ["train" "ab.txt" #* (quick)]))))
    (finally (os.chdir before)))
  folder)

(defn settle [home folder monkeypatch]
  "Make FOLDER a copy of HOME and the place where commands run."
  (shutil.copytree home folder :dirs-exist-ok True)
  (.chdir monkeypatch folder))
