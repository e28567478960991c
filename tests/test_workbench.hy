"The REPL with everything at hand, run as a process; and Hy cells, in a real notebook."

(import  os
         pty
         select
         subprocess
         sys
         time
         nbclient [NotebookClient]
         nbformat
         pytest
         torch
         nanogpt-hy.lab.lisp.workbench [AT-HAND names-at-hand readable readable-tensors])

(setv START "from nanogpt_hy.lab.lisp.workbench import repl; raise SystemExit(repl())")

(setv LINES
  ["(setv x (torch.ones 2 3 8))"
   "x"
   "(list (.parameters (Bigram 2)))"
   "(shapes (-> x (ncut : -1) F.relu))"
   "(deflayer Twice [] \"x -> x: doubled.\" [] (forward [self x] (* 2 x)))"
   "((Twice) (torch.tensor [1 2]))"
   "(defn f [a]"
   "  (traced (seen a)))"
   "(defn seen [a] a)"
   "(len (get (f 1) 0))"
   "(GPT (GPTConfig :vocab-size 3))"
   "*1"
   "(/ 1 0)"
   "(show \"Haed\")"
   "(show seen)"
   "(show (nn.ReLU))"
   "(show Head.forward :python True)"
   "(if 1)"
   "nothing"
   "1 + 2"
   "greeting = f(2)"
   "(shapes (@ (torch.ones 2 3) (torch.ones 2 3)))"
   "x[0]"
   "print('one')"
   "greet()"
   "{\"a\": 1}"
   "(help ncut)"
   "(+ 1 40)"
   "(exit)"
   "(print \"not reached\")"])

(defn [(pytest.fixture :scope "module")] answers []
  "What the REPL answers to LINES: [stdout stderr], without prompts."
  (setv done (subprocess.run [sys.executable "-c" START] :input (+ (.join "\n" LINES) "\n")
                             :capture-output True :text True :encoding "utf-8" :timeout 60))
  (assert (= done.returncode 0) done.stderr)
  [(.replace (.replace done.stdout "nanogpt> " "") "     ... " "") done.stderr])


;;; Tensors that can be read

(defn test-readable-tensors []
  (for [[tensor text] [[(torch.zeros 2 8 32) "<tensor [2 8 32] float32 0..0>"]
                       [(torch.tensor [[1.0 2.5] [-3.0 1e-4]])
                        "<tensor [2 2] float32 [[1 2.5] [-3 0.0001]]>"]
                       [(torch.tensor [3 -1]) "<tensor [2] int64 [3 -1]>"]
                       [(torch.tensor [True False]) "<tensor [2] bool [True False]>"]
                       [(torch.tensor 4.25) "<tensor [] float32 4.25>"]
                       [(torch.zeros 0) "<tensor [0] float32>"]
                       [(torch.tensor [1j]) "<tensor [1] complex64>"]
                       [(torch.zeros 2 :device "meta") "<tensor [2] float32>"]]]
    (assert (= (readable tensor) text))))

(defn [(pytest.mark.filterwarnings "ignore::UserWarning")] test-tensors-that-say-less []
  (setv parts [(torch.ones 2) (torch.ones 3)])
  (assert (= (readable (torch.nested.nested-tensor parts)) "<tensor Tensor>"))
  (assert (.startswith (readable (torch.nested.nested-tensor parts :layout torch.jagged))
                       "<tensor [2 "))
  (assert (= (readable (torch.quantize-per-tensor (torch.ones 3) 0.5 0 torch.qint8))
             "<tensor [3] qint8 1..1>")))

(defn test-hy-repr-is-as-before-outside-the-repl []
  (setv x (torch.ones 2))
  (with [_ (readable-tensors)]
    (assert (= (hy.repr {"a" [x]}) "{\"a\" [<tensor [2] float32 [1 1]>]}"))
    (assert (= (hy.repr (torch.nn.Parameter x)) "<tensor [2] float32 [1 1]>")))
  (assert (= (hy.repr [x]) "[tensor([1., 1.])]"))
  (with [_ (pytest.raises ValueError)
         _ (readable-tensors)]
    (raise (ValueError "left by an error")))
  (assert (= (hy.repr x) "tensor([1., 1.])")))

(defn test-everything-at-hand-is-there []
  (setv names (names-at-hand))
  (for [name ["torch" "nn" "F" "CharTokenizer" "attend" "Head" "GPT" "GPTConfig" "show"
              "train_step" "build_model" #* (map hy.mangle (sum (gfor  [_ own] AT-HAND  own) []))]]
    (assert (in name names)))
  (assert (not-in "nanogpt_hy" names)))


;;; The REPL

(defn test-the-repl-has-names-macros-and-readable-tensors [answers]
  (setv [out err] answers)
  (assert (in "<tensor [2 3 8] float32 1..1>\n" out))
  (assert (in "(F.relu (ncut x : -1))             [2 8]  float32  1..1\n" out))
  (assert (in "  (get x #((slice None None) -1))  [2 8]  float32  1..1\n" out))
  (assert (in "<tensor [2 8] float32 [[1 1 1 1 1 1 1 1] [1 1 1 1 1 1 1 1]]>\n" out))
  (assert (in "<tensor [2] int64 [2 4]>\n" out))
  (assert (in "\n1\n" out))
  (assert (= (.count out "GPT(\n") 2))
  (setv banner (cut (.splitlines err) 3))
  (assert (<= (max (map len banner)) 80))
  (assert (in "(shapes FORM)" (get banner 1)))
  (assert (.endswith (get banner 2) "leaves.")))

(defn test-errors-in-the-repl-are-short-and-it-goes-on [answers]
  (setv [out err] answers)
  (assert (in "ZeroDivisionError: division by zero" err))
  (assert (in "\nthere is no 'Haed' to show; did you mean Head?\n" err))
  (assert (in "\nseen is no piece of this project, and only such can be shown: " err))
  (assert (in "\ntorch.nn.modules.activation.ReLU is no piece of this project, " err))
  (assert (in "def forward(self, x):" out))
  (assert (in "NameError: name 'nothing' is not defined" err))
  (assert (in "is not defined\nin Hy the operator comes first: (+ a b)\n" err))
  (assert (in "is not defined\ngreeting = is Python: in Hy it is (setv greeting ...)\n" err))
  (assert (in "\nx[ is Python: in Hy it is (get x ...) or (cut x ...)\n" err))
  (assert (in "\nprint( is Python: in Hy it is (print ...)\n" err))
  (assert (in "at top level\ngreet( is Python: in Hy it is (greet ...)\n" err))
  (assert (in "\nin Hy a dictionary is {\"a\" 1}: " err))
  (assert (in "\nncut is a macro, no value: (help (get-macro ncut)) says" err))
  (assert (in " !! RuntimeError: " out))
  (assert (in "\n41\n" out))
  (assert (not-in "not reached" out))
  (assert (not-in "hy/compiler.py" err)))

(defn test-the-repl-in-a-terminal []
  (setv [leader follower] (pty.openpty)
        process (subprocess.Popen [sys.executable "-c" START] :stdin follower :stdout follower
                                  :stderr follower :env {#** os.environ  "TERM" "dumb"
                                                         "HY_HISTORY" os.devnull})
        seen ""
        deadline (+ (time.monotonic) 60))
  (os.close follower)
  (defn wait-for [text]
    (nonlocal seen)
    (while (not-in text seen)
      (assert (< (time.monotonic) deadline) seen)
      (when (get (select.select [leader] [] [] 1) 0)
        (setv seen (+ seen (.decode (os.read leader 4096) "utf-8" "replace")))))
    (setv seen (get (.partition seen text) 2)))
  (wait-for "nanogpt> ")
  (os.write leader b"(torch.arange 3)\n")
  (wait-for "<tensor [3] int64 [0 1 2]>")
  (wait-for "nanogpt> ")
  (os.write leader b"\x04")
  (assert (= (.wait process 20) 0))
  (os.close leader))


;;; The notebook

(setv CELLS
  ["%load_ext nanogpt_hy\nx = 5"
   "%%hy\n(import torch  torch.nn :as nn)\n(setv y (+ x 1))\n(-> y (* 2))"
   "y, x"
   "%hy {\"a\" (+ x y)}"
   "%%hy\n(setv t (torch.ones 2 3))\n(shapes (.sum (ncut t : -1)))"
   #[=[%%hy
(deflayer Twice [n]
  "x -> x: doubled."
  [n n]
  (forward [self x]
    (* self.n x)))
(defn divided [a b]
  "a b -> a/b"
  (/ a b))
(defn counted [x] (len (get (traced (+ x 1)) 0)))]=]
   "Twice(2)(t).sum().item(), counted(1)"
   "%%hy\n(+ 1\n   (divided 1 0))"
   "divided(1, 0)"
   "%%hy\n(+ 1"
   "%%hy\n(if 1)"
   "%%hy\n(import nanogpt-hy.lab.lisp.twin [source-of])\n(source-of \"Haed\")"
   "%%hy\n(setv z 1)"
   "%%hy\n; nothing but a comment"
   "x"
   "%%hy\n(import signal)\n(signal.raise-signal signal.SIGINT)"
   "%%hy\n(== x 5)"
   "%%hy\nprint(x)"
   "%%hy\n(help shapes)"])

(defn [(pytest.fixture :scope "module")] outputs [tmp-path-factory]
  "For each of CELLS: [type text] of everything that it put out."
  (setv notebook (nbformat.v4.new-notebook :cells (list (map nbformat.v4.new-code-cell CELLS)))
        folder (str (.mktemp tmp-path-factory "notebook")))
  (.execute (NotebookClient notebook :timeout 90 :allow-errors True :kernel-name "python3"
                            :resources {"metadata" {"path" folder}}))
  (lfor  cell notebook.cells
         (lfor  out cell.outputs
                [out.output-type (match out.output-type
                                   "stream" out.text
                                   "error" (.join "\n" out.traceback)
                                   _ (get out.data "text/plain"))])))

(defn test-cells-share-names-and-show-their-last-value [outputs]
  (assert (= (get outputs 0) []))
  (assert (= (get outputs 1) [["execute_result" "12"]]))
  (assert (= (get outputs 2) [["execute_result" "(6, 5)"]]))
  (assert (= (get outputs 3) [["execute_result" "{'a': 11}"]]))
  (assert (= (cut outputs 12 15) [[] [] [["execute_result" "5"]]])))

(defn test-cells-have-the-macros-and-what-they-define-works-in-python [outputs]
  (assert (= (get outputs 4)
             [["stream" #[=[
(.sum (ncut t : -1))               []   float32  2
  (get t #((slice None None) -1))  [2]  float32  1..1
]=]]
              ["execute_result" "tensor(2.)"]]))
  (assert (= (get outputs 5) []))
  (assert (= (get outputs 6) [["execute_result" "(12.0, 1)"]])))

(defn test-errors-show-frames-of-hy-code-only [outputs]
  (setv [[kind text]] (get outputs 7))
  (assert (= kind "error"))
  (assert (in "(divided 1 0))" text))
  (assert (in "(/ a b)" text))
  (assert (in "<hy cell " text))
  (assert (in "ZeroDivisionError: division by zero" text))
  (for [hidden ["interactiveshell" "compiler.py" "workbench" "run_cell"]]
    (assert (not-in hidden text)))
  (setv [[kind text]] (get outputs 8))
  (assert (in "ZeroDivisionError" text)))

(defn test-an-interrupted-cell-shows-where-it-was-and-no-more [outputs]
  (setv [[kind text]] (get outputs 15))
  (assert (= kind "error"))
  (assert (in "(signal.raise-signal signal.SIGINT)" text))
  (assert (in "KeyboardInterrupt" text))
  (for [hidden ["interactiveshell" "compiler.py" "workbench" "run_cell"]]
    (assert (not-in hidden text))))

(defn test-code-that-cannot-be-read-is-an-error-of-a-few-lines [outputs]
  (for [[i says] [[9 "Premature end of input"] [10 "(if 1)"] [11 "did you mean Head?"]]]
    (setv [[kind text]] (get outputs i))
    (assert (= kind "error"))
    (assert (in says text))
    (assert (<= (len (.splitlines text)) 6))
    (assert (not-in "compiler.py" text))))

(defn test-a-cell-too-says-how-hy-has-it [outputs]
  (for [[i says] [[16 "in Hy it is (= a b)"] [17 "print( is Python: in Hy it is (print ...)"]
                  [18 "shapes is a macro, no value: (help (get-macro shapes)) says what it does"]]]
    (setv [[kind text]] (get outputs i))
    (assert (= [kind (get (.splitlines text) -1)] ["error" says]))))
