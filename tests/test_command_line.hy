"The command line from the outside: what it says and where, what it answers to signals and pipes."

(import  contextlib [contextmanager]
         inspect
         io
         json
         math [exp log]
         os
         pty
         re
         resource
         shlex
         signal
         subprocess
         sys
         time
         types [SimpleNamespace]
         pytest
         torch
         asking [asker make-home quick refused settle words-of]
         hy.errors [HyMacroExpansionError]
         nanogpt-hy [__version__]
         nanogpt-hy.__main__ [main]
         nanogpt-hy.cli :as cli-module
         nanogpt-hy.cli [app]
         nanogpt-hy.config [FIELDS option-name preset]
         nanogpt-hy.lab.checkpoints.checkpoint [read-meta]
         nanogpt-hy.lab.commands :as commands
         nanogpt-hy.lab.judging :as judging
         nanogpt-hy.lab.judging [counted window-line]
         nanogpt-hy.lab.training.device :as device
         nanogpt-hy.lab.training.evaluation [whole-batches]
         nanogpt-hy.lab.training.launch [ALONE])

(setv US [sys.executable "-m" "nanogpt_hy"])

(defn [(pytest.fixture :scope "module")] home [tmp-path-factory]
  (make-home (.mktemp tmp-path-factory "home")))

(defn [pytest.fixture] ask [home tmp-path monkeypatch capsys]
  "Commands, run in a fresh copy of a folder with ab.txt and runs/ab."
  (settle home tmp-path monkeypatch)
  (asker capsys))

(defn out-of [ask #* arguments]
  "What a command that works writes to stdout; nothing goes to stderr."
  (setv said (ask #* arguments))
  (assert (= #(said.code said.err) #(0 "")) said)
  said.out)

(defn err-of [ask #* arguments]
  "What a command that works writes to stderr; nothing goes to stdout."
  (setv said (ask #* arguments))
  (assert (= #(said.code said.out) #(0 "")) said)
  said.err)


;;; Help

(defn commands-of [app #* above]
  "-> [[str]]: the words of every command there is."
  (setv found [])
  (for [name app  :if (not (.startswith name "-"))]
    (setv inner (get app name)
          words [#* above name])
    (.extend found (if inner.default-command [words] (commands-of inner #* words))))
  found)

(setv COMMANDS (commands-of app))

(defn test-the-commands-are-there []
  (for [words [["train"] ["sample"] ["eval"] ["data" "ab"]]]
    (assert (in words COMMANDS))))

(defn [(pytest.mark.parametrize "words" COMMANDS :ids (lfor  c COMMANDS  (.join "-" c)))]
  test-help-names-every-option [ask words]
  (setv inner app)
  (for [word words]
    (setv inner (get inner word)))
  (setv text (out-of ask #* words "--help")
        names (. (inspect.signature inner.default-command) parameters))
  (assert (.startswith text f"Usage: nanogpt-hy {(.join " " words)}"))
  (for [[name parameter] (.items names)]
    (when (and (= parameter.kind parameter.KEYWORD-ONLY) (!= name "hyperparameters"))
      (assert (in (option-name name) text))))
  (assert (= text (out-of ask #* words "-h"))))

(defn test-help-names-every-hyperparameter [cli]
  (setv done (cli "train" "--help" :env {"COLUMNS" "120"}))   ; in 80, the longest name is broken
  (for [name FIELDS]
    (assert (in (option-name name) done.stdout))))

(defn test-help-of-it-all [ask]
  (setv text (out-of ask "--help"))
  (assert (= text (out-of ask)))                   ; asked for nothing, it says what there is
  (for [[name #* _] COMMANDS]
    (assert (in name text))))

(defn test-version [ask]
  (assert (= (out-of ask "--version") f"{__version__}\n")))

(setv LIGHT [["--help"] ["--version"] ["train" "--help"] ["sample" "--help"] ["eval" "--help"]
             ["data" "ab" "--help"] ["train"] ["trian"] ["train" "x" "--n-layr" "2"]
             ["train" "x" "--n-layer" "two"] ["sample" "--top-k" "1.5"] ["data" "ab"]]
      SCRIPT "
import sys
from nanogpt_hy.__main__ import main
for words in eval(sys.argv[1]):
    assert main(words) in (0, 2), words
print('loaded', [m for m in ('torch', 'hyrule', 'numpy', 'safetensors') if m in sys.modules])
")

(defn test-help-and-wrong-arguments-load-nothing-heavy []
  (setv before (resource.getrusage resource.RUSAGE-CHILDREN)
        found (subprocess.run [sys.executable "-c" SCRIPT (repr LIGHT)]
                              :capture-output True :text True)
        after (resource.getrusage resource.RUSAGE-CHILDREN)
        taken (- (+ after.ru-utime after.ru-stime) (+ before.ru-utime before.ru-stime)))
  (assert (= found.returncode 0) found.stderr)
  (assert (.endswith found.stdout "loaded []\n") found.stdout)
  (assert (< taken 2) "a dozen of them in one process"))


;;; What goes where

(defn plain [text]
  "Assert that TEXT holds neither colours nor lines that are written over."
  (assert (= [] (re.findall "[\x1b\r\b]" text))))

(defn test-training-as-a-process [home tmp-path monkeypatch cli]
  "All that a training says goes to stderr, in plain lines where that is no terminal; and what it
  says last can be run."
  (settle home tmp-path monkeypatch)
  (setv found (cli "train" "ab.txt" #* (quick)))
  (assert (= found.returncode 0) found.stderr)
  (assert (= found.stdout ""))
  (plain found.stderr)
  (for [part ["2,700 characters" "parameters" "2,430 to learn from" "guessing  loses 1.0986"
              "counting  pairs" "floor     0." "cpu (asked for)" "folder    runs/ab-2"
              "train loss  val loss" "all steps are done" "It writes:"]]
    (assert (in part found.stderr)))
  (setv steps (re.findall r"^ +(\d+) +\d\.\d{4} +\d\.\d{4} " found.stderr re.M)
        last-line (get (.splitlines found.stderr) -1)
        more (cli #* (cut (shlex.split last-line) 1 None) "--max-new-tokens" 30 "--seed" 1))
  (assert (= steps ["0" "2" "4"]))
  (assert (= (.strip last-line) "nanogpt-hy sample --ckpt runs/ab-2"))
  (assert (= #(more.returncode more.stderr) #(0 "")))
  (assert (<= (set more.stdout) (set "ab\n"))))

(defn test-a-terminal-gets-one-living-line [home tmp-path monkeypatch]
  (settle home tmp-path monkeypatch)
  (setv [ours theirs] (pty.openpty)
        words (words-of (quick "--max-iters" 300 "--eval-interval" 300))
        process (subprocess.Popen [#* US "train" "ab.txt" #* words] :stdout subprocess.PIPE
                                  :stderr theirs :stdin subprocess.DEVNULL
                                  :env {#** os.environ  "TERM" "xterm"  "COLUMNS" "100"})
        said b"")
  (os.close theirs)
  (try
    (while (setx more (os.read ours 10000))
      (setv said (+ said more)))
    (except [OSError]))                            ; how Linux says that nobody writes any more
  (assert (= (.communicate process) #(b"" None)))
  (assert (= process.returncode 0))
  (assert (in b"\x1b[" said))
  (assert (in b"tokens/s" said))
  (assert (in b"all steps are done" said)))

(defn test-a-reader-who-has-had-enough [home tmp-path monkeypatch]
  (settle home tmp-path monkeypatch)
  (setv command (+ (shlex.join [#* US "sample" "--max-new-tokens" "20000" "--top-k" "1"])
                   " | head -1; echo ${PIPESTATUS[0]}")
        found (subprocess.run ["bash" "-c" command] :capture-output True :text True :timeout 60))
  (assert (= found.stderr ""))
  (assert (= (get (.splitlines found.stdout) -1) "0"))
  (assert (= 2 (len (.splitlines found.stdout)))))

(defn [(pytest.mark.parametrize "closed" ["<&-" ">&-" "2>&-" "<&- >&- 2>&-"])]
      test-streams-that-are-closed [home tmp-path monkeypatch closed]
  "As some servers start their programs: the work is done, and nobody is told."
  (settle home tmp-path monkeypatch)
  (setv words (shlex.join [#* US "train" "ab.txt" #* (words-of (quick))])
        found (subprocess.run ["bash" "-c" f"{words} {closed}"] :capture-output True :text True))
  (assert (= found.returncode 0) found.stderr)
  (assert (not-in "Traceback" found.stderr))
  (assert (.exists (/ tmp-path "runs/ab-2/last.safetensors"))))

(defn test-characters-that-the-terminal-cannot-write [home tmp-path monkeypatch cli]
  (settle home tmp-path monkeypatch)
  (setv found (cli "inspect" "attention" "--prompt" "ab\na" :env {"PYTHONIOENCODING" "ascii"}))
  (assert (= #(found.returncode found.stderr) #(0 "")))
  (assert (in "\\u21b5" found.stdout)))

(defn test-a-closed-standard-input-is-an-empty-one [home tmp-path monkeypatch]
  (settle home tmp-path monkeypatch)
  (setv words (shlex.join [#* US "sample" "--prompt-file" "-" "--max-new-tokens" "1"])
        found (subprocess.run ["bash" "-c" f"{words} <&-"] :capture-output True :text True))
  (assert (= #(found.returncode found.stderr) #(0 ""))))

(defn test-a-terminal-without-columns [cli]
  (for [columns ["0" "1"]]
    (setv found (cli "inspect" "--help" :env {"COLUMNS" columns}))
    (assert (= found.returncode 0) found.stderr)
    (assert (in "--prompt" found.stdout))))

(defn test-an-interruption-behind-another-error [monkeypatch capsys]
  "Ctrl-C while Hy compiles comes out as an error of the macro that was being expanded."
  (defn broken [#* words #** how]
    (try
      (raise KeyboardInterrupt)
      (except [e KeyboardInterrupt]
        (raise (HyMacroExpansionError "expanding" None None None)))))
  (monkeypatch.setattr cli-module "app" broken)
  (assert (= 130 (main ["lesson"])))
  (assert (= "nanogpt-hy: interrupted\n" (. (capsys.readouterr) err))))

(setv EARLY "
import sys
class AtOnce:
    def find_spec(name, *others):
        if name == 'cyclopts':
            raise KeyboardInterrupt
sys.meta_path.insert(0, AtOnce)
from nanogpt_hy.__main__ import main
sys.exit(main(['--version']))
")

(defn test-an-interruption-before-the-command-begins []
  (setv found (subprocess.run [sys.executable "-c" EARLY] :capture-output True :text True))
  (assert (= [found.returncode found.stdout found.stderr] [130 "" "nanogpt-hy: interrupted\n"])))


;;; sample

(defn sample [ask #* arguments]
  (out-of ask "sample" "--max-new-tokens" 60 #* arguments))

(defn test-a-seed-repeats [ask]
  (setv one (sample ask "--seed" 3))
  (assert (= one (sample ask "--seed" 3)))
  (assert (!= one (sample ask "--seed" 4)))
  (assert (= 3 (len (set (gfor  _ (range 3)  (sample ask)))))))

(defn test-temperature-0-needs-no-seed [ask]
  (assert (= 1 (len (set (gfor  _ (range 3)  (sample ask "--temperature" 0))))))
  (assert (= (sample ask "--temperature" 0) (sample ask "--top-k" 1) (sample ask "--top-p" 1e-9))))

(defn test-top-k-beyond-the-vocabulary-is-all-of-it [ask]
  (setv all-of-them (sample ask "--seed" 1))
  (for [k [0 3 1000]]
    (assert (= all-of-them (sample ask "--seed" 1 "--top-k" k)))))

(defn test-several-samples [ask]
  (setv text (sample ask "--num-samples" 3 "--seed" 3)
        texts (.split text "---------------\n"))
  (assert (= 3 (len texts) (len (set texts))))
  (assert (= (get texts 0) (sample ask "--seed" 3))))

(defn test-stopping [ask]
  (setv whole (sample ask "--prompt" "a" "--seed" 3)
        stopped (sample ask "--prompt" "a" "--seed" 3 "--stop" "bb"))
  (assert (= (.rstrip stopped "\n") (.rstrip (cut whole (.find whole "bb" 1)) "\n"))))

(defn test-prompts [ask tmp-path monkeypatch]
  (setv how ["--seed" 1]
        expected (sample ask "--prompt" "abbb\na" #* how))
  (assert (.startswith expected "abbb\na"))
  (.write-text (/ tmp-path "prompt.txt") "abbb\na")
  (assert (= expected (sample ask "--prompt-file" "prompt.txt" #* how)))
  (.setattr monkeypatch sys "stdin" (io.TextIOWrapper (io.BytesIO b"abbb\na")))
  (assert (= expected (sample ask "--prompt-file" "-" #* how)))
  (assert (= (sample ask "--prompt" "" #* how) (sample ask #* how))))

(defn test-standard-input-of-a-process [home tmp-path monkeypatch cli]
  (settle home tmp-path monkeypatch)
  (setv found (cli "sample" "--prompt-file" "-" "--max-new-tokens" 0 :input "abab"))
  (assert (= #(found.returncode found.stdout found.stderr) #(0 "abab\n" ""))))

(defn test-no-prompt-begins-a-line [ask]
  (for [seed (range 5)]
    (assert (in (get (sample ask "--seed" seed) 0) "ab\n"))))

(defn test-explaining [ask]
  (setv text (out-of ask "sample" "--explain" "--prompt" "a" "--max-new-tokens" 3 "--seed" 1))
  (plain text)
  (assert (in "%" text)))

(defn test-naming-a-checkpoint [ask]
  (setv expected (sample ask "--seed" 1))
  (for [words [["--ckpt" "runs/ab"] ["--ckpt" "runs/ab/best.safetensors"] ["--ckpt"]]]
    (assert (= expected (sample ask "--seed" 1 #* words))))
  (assert (= expected (out-of ask "sample" "--ckpt" "--seed" 1 "--max-new-tokens" 60))))


;;; eval

(defn test-eval-in-words [ask]
  (setv text (out-of ask "eval" "ab.txt"))
  (for [part ["runs/ab/best.safetensors" "nats per token" "over 270 validation tokens"
              "bits per character" "perplexity" "floor"]]
    (assert (in part text)))
  (assert (= text (out-of ask "eval"))))           ; the text that it was trained on

(defn test-eval-as-json [ask]
  (setv found (json.loads (out-of ask "eval" "--json" "--ckpt" "runs/ab"))
        loss (get found "loss"))
  (assert (= (get found "tokens") 270))
  (assert (= (get found "perplexity") (pytest.approx (exp loss))))
  (assert (= (get found "bits_per_character") (pytest.approx (/ loss (log 2)))))
  (assert (< 0 (get found "floor") loss)))

(defn test-eval-of-bytes [ask]
  "Characters have as many bytes as they like, and the bits are those of a character."
  (with [file (open "umlauts.txt" "w" :encoding "utf-8")]
    (.write file (* "äöü, ab\n" 60)))
  (assert (= 0 (. (ask "train" "umlauts.txt" "--tokenizer" "byte" "--out" "bytes" #* (quick))
                  code)))
  (setv found (json.loads (out-of ask "eval" "--json" "--ckpt" "bytes")))
  (assert (= (get found "tokens") 65))        ; the first is given
  (assert (= (get found "bits_per_character")
             (pytest.approx (* (get found "loss") (/ 66 48 (log 2)))))))

(defn test-eval-of-a-model-that-came-to-nothing [ask monkeypatch]
  "No perplexity can be computed of it, and JSON has no nan."
  (for [loss [800.0 (float "nan") (float "inf")]]
    (monkeypatch.setattr judging "mean_loss" (fn [#* a #** how] [loss 0.0]))
    (for [more [[] ["--json"]]]
      (setv said (ask "eval" #* more))
      (assert (= #(said.code said.out) #(1 "")))
      (assert (in f"best.safetensors loses {loss :.4g} nats per token, so" said.err)))))

(defn test-an-evaluation-tells-how-far-it-is []
  "By its end it has told of every target."
  (setv told    []
        batches (list (counted (whole-batches (torch.arange 100) :block-size 8) told.append)))
  (assert (= told (lfor  [_ y] batches  (.numel y))))
  (assert (= (sum told) 99)))

(defn test-eval-tells-of-the-whole-validation-part [ask monkeypatch]
  (setv told [])
  (defn [contextmanager] bar [words total #* columns]
    (setv heard [])
    (yield heard.append)
    (.append told [words total (sum heard)]))
  (monkeypatch.setattr judging "progress_bar" bar)
  (assert (= 0 (. (ask "eval" "--windows") code)))
  (assert (= told [["evaluating" 270 270] ["with both windows" 1 (pytest.approx 1)]])))

(defn test-windows-in-words []
  (assert (= (window-line {"exact" 1.0  "half" 1.5  "error" 0.25  "tokens" 1000})
             (+ "windows     1.0000 past the context, 1.5000 with --window half: +0.5000 "
                "(standard error 0.2500), over 1,000 tokens"))))

(defn test-to-go-on-with-what-looks-like-an-option []
  (setv run (SimpleNamespace :group ALONE  :folder "-out"
                             :corpus (SimpleNamespace :path "-x.txt")))
  (assert (= "nanogpt-hy train ./-x.txt --out ./-out --resume" (commands.resume-command run))))

(defn [(pytest.mark.parametrize "words" [["handmade" "aab"] ["train" "ab.txt" "--max-iters" 0]])]
      test-to-let-write-what-looks-like-an-option [ask words]
  (setv command (shlex.split (get (.splitlines (. (ask #* words "--out=-a b") err)) -1)))
  (assert (= command ["nanogpt-hy" "sample" "--ckpt" "./-a b"]))
  (assert (= 0 (. (ask #* (cut command 1 None) "--prompt" "a" "--max-new-tokens" 1) code))))

(defn [(pytest.mark.parametrize "options" [[] ["--explain"]])]
    test-texts-are-drawn-by-as-many-threads-as-cores-are-free [ask monkeypatch options]
  (setv seen [])
  (.setattr monkeypatch device "free_cores" (fn [] 3))
  (.setattr monkeypatch device "threads_for" (fn [config] 5))
  (.setattr monkeypatch torch "set_num_threads" seen.append)
  (setv before (torch.get-num-threads))
  (out-of ask "sample" "--max-new-tokens" 2 #* options)
  (assert (= seen [3 before])))

(defn test-eval-of-windows [ask]
  (setv line (get (.splitlines (out-of ask "eval" "--windows")) -1)
        found (get (json.loads (out-of ask "eval" "--windows" "--json")) "windows"))
  (assert (.startswith line f"windows     {(get found "exact") :.4f} past the context, "))
  (assert (.endswith line f"over {(get found "tokens")} tokens")))

(defn test-eval-of-a-text-that-has-changed [ask tmp-path]
  (with [file (open "ab.txt" "a")]
    (.write file "abbbbbbb\n"))
  (setv said (ask "eval" "--json"))
  (assert (= said.code 0))
  (assert (= (get (json.loads said.out) "tokens") 279))
  (assert (= said.err "ab.txt has changed since runs/ab/best.safetensors was trained on it\n")))


;;; data

(defn test-data [ask tmp-path]
  (setv said (out-of ask "data" "ab" "--out" "new.txt" "--lines" 50 "--length" 5 "--seed" 2)
        text (.read-text (/ tmp-path "new.txt")))
  (assert (= said "new.txt\nnew.toml\n"))
  (assert (re.fullmatch r"((?=.{5}\n)a*b*\n){50}" text))
  (out-of ask "data" "ab" "--out" "new.txt" "--lines" 50 "--length" 5 "--seed" 2 "--force")
  (assert (= text (.read-text (/ tmp-path "new.txt"))))
  (out-of ask "data" "ab" "--out" "other.txt" "--lines" 50 "--length" 5 "--seed" 3)
  (assert (!= text (.read-text (/ tmp-path "other.txt")))))

(defn test-data-always-staying [ask tmp-path]
  (out-of ask "data" "ab" "--out" "new.txt" "--lines" 20 "--stay" 1)
  (assert (<= (set (.split (.read-text (/ tmp-path "new.txt")))) #{"aaaaaaaa" "bbbbbbbb"})))

(defn test-the-data-of-the-project-are-the-defaults [ask root tmp-path]
  (out-of ask "data" "ab" "--out" "new.txt")
  (assert (= (.read-bytes (/ tmp-path "new.txt")) (.read-bytes (/ root "data" "ab.txt")))))


;;; train

(defn test-defaults-preset-file-option [ask tmp-path]
  "Each wins over what stands before it."
  (.write-text (/ tmp-path "my.toml") "batch_size = 6\nmax_iters = 0\nbeta1 = 0.5\n")
  (err-of ask "train" "ab.txt" "--preset" "ab" "--config" "my.toml" "--beta1" 0.25 "--out" "new")
  (setv train (get (read-meta "new") "train"))
  (assert (= (get train "weight_decay") 0.1))
  (assert (= (get train "learning_rate") (get (preset "ab") "learning_rate")))
  (assert (= (get train "batch_size") 6))
  (assert (= (get train "beta1") 0.25)))

(defn test-a-settings-file-is-named-behind-the-preset [ask tmp-path]
  (.write-text (/ tmp-path "my.toml") "seed = 5\n")
  (assert (in ", over it my.toml" (err-of ask "train" "ab.txt" "--config" "my.toml"
                                          #* (quick "--max-iters" 0)))))

(defn test-what-was-saved-last-is-what-is-resumed [ask tmp-path]
  "Not the run that was best last."
  (err-of ask "train" "ab.txt" "--out" "runs/b" #* (quick))
  (for [[name moment] [["ab/best" 1] ["ab/last" 4] ["b/best" 3] ["b/last" 2]]]
    (os.utime (/ tmp-path "runs" f"{name}.safetensors") #(moment moment)))
  (err-of ask "train" "ab.txt" "--resume" "--max-iters" 6)
  (assert (= [(saved (/ tmp-path "runs/ab")) (saved (/ tmp-path "runs/b"))] [6 4])))

(defn test-the-best-loss-is-named-with-its-step [ask]
  "Of steps so large none is better than the beginning."
  (assert (re.search r"best validation loss is \d\.\d{4}, at step 0\n"
                     (err-of ask "train" "ab.txt" #* (quick "--learning-rate" 10)))))

(defn test-a-new-run-does-not-go-on [ask]
  (assert (not-in "goes on at" (err-of ask "train" "ab.txt" #* (quick)))))

(defn test-what-a-run-writes-at-its-end-repeats [ask]
  (defn text []
    (get (.split (err-of ask "train" "ab.txt" #* (quick)) "It writes:") 1 (slice 200)))
  (assert (= (text) (text))))

(defn test-each-run-its-folder [ask tmp-path]
  (for [name ["ab-2" "ab-3"]]
    (err-of ask "train" "ab.txt" #* (quick "--max-iters" 0))
    (assert (= (sorted (gfor  file (.iterdir (/ tmp-path "runs" name))  file.name))
               ["best.safetensors" "config.toml" "last.safetensors" "metrics.jsonl"]))))

(defn [(pytest.mark.skipif (!= sys.platform "linux") :reason "other systems refuse such names")]
      test-any-name-a-file-can-have [ask tmp-path]
  "Also one that no encoding knows, and one with a control character."
  (for [[i name] (enumerate [b"bad\xff.txt" b"esc\x1b[31m.txt" b"new\nline.txt"])]
    (setv path (os.fsdecode name))
    (.write-bytes (/ tmp-path path) (.read-bytes (/ tmp-path "ab.txt")))
    (err-of ask "train" path "--out" f"odd{i}" #* (quick "--max-iters" 0))
    (err-of ask "train" "ab.txt" "--config" f"odd{i}/config.toml" "--out" f"again{i}")))

(defn test-a-new-line-is-a-character [ask tmp-path]
  "The text is read as it is: no newline is translated."
  (.write-bytes (/ tmp-path "crlf.txt") (* b"ab\r\n" 60))
  (err-of ask "train" "crlf.txt" #* (quick "--max-iters" 0))
  (assert (= (get (read-meta "runs/crlf") "tokenizer" "chars") ["\n" "\r" "a" "b"])))

(defn saved [folder]
  "The step of the checkpoint to resume from, or -1."
  (setv path (/ folder "last.safetensors"))
  (if (.exists path) (get (read-meta path) "step") -1))

(defn wait-until [holds process]
  (for [_ (range 1200)]
    (when (holds)
      (return))
    (assert (is (.poll process) None) (.read process.stderr))
    (time.sleep 0.05))
  (raise (TimeoutError)))

(defn [(pytest.mark.parametrize ["name" "code"] [["SIGINT" 130] ["SIGTERM" 143] ["SIGHUP" 129]])]
  test-a-signal-saves-and-the-printed-command-goes-on [home tmp-path monkeypatch ask name code]
  (setv words (words-of (quick "--max-iters" 1,000,000 "--eval-interval" 100))
        folder (/ tmp-path "a run's")              ; a name that a shell would take apart
        process (subprocess.Popen [#* US "train" "ab.txt" "--out" (str folder) #* words]
                                  :stdout subprocess.PIPE :stderr subprocess.PIPE :text True
                                  ;; Also where these tests themselves run under nohup.
                                  :preexec-fn (fn [] (signal.signal signal.SIGHUP signal.SIG-DFL))))
  (wait-until (fn [] (>= (saved folder) 100)) process)
  (.send-signal process (getattr signal name))
  (setv [out err] (.communicate process :timeout 60)
        step (saved folder)
        command (shlex.split (get (.splitlines err) -1)))
  (assert (= process.returncode code))
  (assert (= out ""))
  (plain err)
  (assert (not-in "Traceback" err))
  (assert (in f"{name}: saved at step {step :,}. Go on with:" err))
  (assert (= (get command 0) "nanogpt-hy"))
  (setv said (ask #* (cut command 1 None) "--max-iters" (+ step 5)))
  (assert (= said.code 0) said)
  (assert (in f"goes on at step {step :,}" said.err))
  (assert (= (saved folder) (+ step 5))))

(defn test-a-prompt-without-end [ask monkeypatch]
  (refused (ask "sample" "--prompt-file" "/dev/zero") "more than 100,000,000 bytes")
  (.setattr monkeypatch sys "stdin" (io.TextIOWrapper (open "/dev/zero" "rb")))
  (refused (ask "sample" "--prompt-file" "-") "standard input has more than 100,000,000 bytes"))

(defn test-ctrl-c-elsewhere [ask monkeypatch]
  (defn interrupted [#* arguments #** more]
    (raise (KeyboardInterrupt)))
  (.setattr monkeypatch commands "open_model" interrupted)
  (setv said (ask "sample"))
  (assert (= #(said.code said.out said.err) #(130 "" "nanogpt-hy: interrupted\n"))))
