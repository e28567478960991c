"The course as something to read: its order, its size, its docstrings, and the Python it becomes."

(import  ast
         functools [cache]
         importlib
         inspect
         random
         re
         sys
         pathlib [Path]
         hy
         pytest
         torch
         torch [nn]
         hyflakes
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.course :as course)

(setv FOLDER (/ (. (Path __file__) (resolve) parent parent) "src" "nanogpt_hy" "course")
      CONTENTS (/ FOLDER "__init__.hy")
      STEPS  (sorted (.glob FOLDER "s*.hy"))
      each-step (pytest.mark.parametrize "path" STEPS :ids (fn [path] path.stem)))

(defn module-of [path]
  (importlib.import-module f"nanogpt_hy.course.{path.stem}"))

(defn text-of [path]
  (.read-text path :encoding "utf-8"))

(defn [cache] python-of [path]
  "The Python of a file, as hy2py gives it."
  (ast.unparse (hyflakes.compiled path (hyflakes.module-name path))))

(defn course-imports [python]
  "[#(step [names])]: what a file takes from other steps, in its order."
  (lfor  node (ast.walk (ast.parse python))
         :if (and (isinstance node ast.ImportFrom) (.startswith node.module "nanogpt_hy.course"))
         #((get (.split node.module ".") -1) (lfor  name node.names  name.name))))

(defn defined-in [path]
  "The functions and classes that a step defines, in its order."
  (lfor  node (. (ast.parse (python-of path)) body)
         :if (isinstance node #(ast.FunctionDef ast.ClassDef))
         node.name))


;;; Order and size

(defn test-steps-are-numbered []
  (assert (= (lfor  path STEPS  (int (cut path.stem 1 3))) (list (range 1 13)))))

(defn test-contents-are-all-names-in-reading-order []
  (assert (= (course-imports (python-of CONTENTS))
             (lfor  path STEPS  #(path.stem (defined-in path))))))

(defn [each-step] test-steps-use-earlier-steps-only [path]
  (for [[step names] (course-imports (python-of path))]
    (assert (< step path.stem))
    (assert (<= (set names) (set (defined-in (/ FOLDER f"{step}.hy")))))))

(defn [(pytest.mark.parametrize "path" [CONTENTS #* STEPS] :ids (fn [path] path.stem))]
      test-one-screen [path]
  (setv lines (.splitlines (text-of path)))
  (assert (<= (len lines) 60))
  (assert (<= (max (map len lines)) 100)))

(defn [each-step] test-one-require-and-one-import [path]
  (setv heads (lfor  form (hy.read-many (text-of path))
                     :if (isinstance form hy.models.Expression)
                     (str (get form 0))))
  (assert (<= (.count heads "import") 1))
  (assert (<= (.count heads "eval-when-compile") 1)))

(defn [each-step] test-first-words [path]
  (assert (.startswith (. (module-of path) __doc__) f"Step {(int (cut path.stem 1 3))}: ")))

(defn [each-step] test-all-that-is-public-says-what-it-is [path]
  (for [name (defined-in path)]
    (setv words (. (getattr (module-of path) name) __doc__))
    (assert words name)
    (assert (in (get (.strip words) -1) ".]')") name)))


;;; Docstring shapes: what stands before the colon, tried on random sizes

(setv SHAPES (re.compile r"^(\(.*?)?-> *(.*?):" re.DOTALL))

(defn groups [text]
  "The outermost (…) in TEXT, with what is right behind each: \"((B T) (B T))...\" -> one."
  (setv found []  depth 0  start 0)
  (for [[i c] (enumerate text)]
    (when (= c "(")
      (when (= depth 0)
        (setv start i))
      (setv depth (+ depth 1)))
    (when (= c ")")
      (setv depth (- depth 1))
      (when (= depth 0)
        (.append found #((cut text (+ start 1) i) (.startswith text "..." (+ i 1)))))))
  found)

(defn shapes-of [piece]
  "-> inputs, outputs: what PIECE's docstring begins with; None where it begins otherwise."
  (setv found (.match SHAPES (or piece.__doc__ "")))
  (when found
    [(groups (or (.group found 1) "")) (.group found 2)]))

(defn size-of [word sizes]
  "One size: a name, a number, or a sum, difference or product of them."
  (for [[sign act] [["+" (fn [x y] (+ x y))] ["-" (fn [x y] (- x y))] ["*" (fn [x y] (* x y))]]]
    (when (in sign word)
      (setv [left right] (.split word sign))
      (return (act (size-of left sizes) (size-of right sizes)))))
  (if (.isdigit word) (int word) (get sizes word)))

(defn lengths [shape sizes]
  "\"... T D\" -> (2, 3, 5, 8), say."
  (setv out [])
  (for [word (.split shape)]
    (.extend out (if (= word "...") (get sizes "...") [(size-of word sizes)])))
  (tuple out))

(defn sample [shape sizes]
  "A random input: ids where the last axis is places (B T N), channels otherwise; nested, a list."
  (cond
    (in "(" shape)
      (lfor  [inner _] (groups shape)  (sample inner sizes))
    (in (get (.split shape) -1) ["T" "B" "N"])
      (torch.randint (get sizes "V") (lengths shape sizes))
    True
      (torch.randn (lengths shape sizes))))

(defn samples [inputs sizes]
  "All inputs; three of what may come several times."
  (setv out [])
  (for [[shape several] inputs]
    (.extend out (lfor  _ (range (if several 3 1))  (sample shape sizes))))
  out)

(defn any-sizes [seed]
  "Sizes that fit together, else random, and hardly ever the same for two names."
  (setv dice (random.Random seed)
        n (dfor  name ["B" "T" "S" "D" "E" "V" "H" "count"]  name (dice.randint 1 9))
        (get n "V") (+ 2 (get n "V"))
        (get n "C") (* (get n "H") (get n "D"))
        (get n "N") (+ (get n "T") (get n "V") (dice.randint 1 30))
        (get n "n") (int (* 0.9 (get n "N")))
        (get n "...") (lfor  _ (range (dice.randint 0 2))  (dice.randint 1 4)))
  n)

(defn config-of [n]
  (GPTConfig :vocab-size (get n "V") :block-size (get n "T") :n-layer 2 :n-head (get n "H")
             :n-embd (get n "C")))

;; How to get from sizes to what is called with the inputs of the docstring, where it is not the
;; function itself: layers have to be made, functions given a model or a number.
(setv CALLS
  {"windows"       (fn [n] (fn [ids starts] (course.windows ids starts (get n "T"))))
   "draw_batch"    (fn [n] (fn [ids] (course.draw-batch ids :batch-size (get n "B")
                                                            :block-size (get n "T"))))
   "Bigram"        (fn [n] (course.Bigram (get n "V")))
   "next_logits"   (fn [n] (fn [ids] (course.next-logits (course.Bigram (get n "V")) ids
                                                         :block-size (get n "S"))))
   "generate"      (fn [n] (fn [ids] (course.generate (course.Bigram (get n "V")) ids
                                                      (get n "count") :block-size (get n "S"))))
   "add_gradient"  (fn [n] (fn [x y] (course.add-gradient (course.Bigram (get n "V")) x y 0.5)))
   "train_step"    (fn [n] (fn [#* batches]
                             (setv model (course.Bigram (get n "V"))
                                   still (torch.optim.SGD (.parameters model) :lr 0.1))
                             (course.train-step model still #* batches)))
   "evaluate"      (fn [n] (fn [#* batches] (course.evaluate (course.Bigram (get n "V")) batches)))
   "causal"        (fn [n] (fn [] (course.causal (get n "T"))))
   "Embed"         (fn [n] (course.Embed (get n "V") (get n "T") (get n "C")))
   "LanguageModel" (fn [n] (course.LanguageModel (config-of n) (fn [c] (nn.Identity))))
   "Head"          (fn [n] (course.Head (get n "C") (get n "D")))
   "Heads"         (fn [n] (course.Heads (get n "C") (get n "H")))
   "MultiHeadAttention" (fn [n] (course.MultiHeadAttention (get n "C") (get n "H")))
   "FeedForward"   (fn [n] (course.FeedForward (get n "C")))
   "Residual"      (fn [n] (course.Residual (course.FeedForward (get n "C"))))
   "PreNorm"       (fn [n] (course.PreNorm (get n "C") (nn.Identity)))
   "Block"         (fn [n] (course.Block (get n "C") (get n "H")))
   "stack"         (fn [n] (course.stack 2 (fn [] (course.FeedForward (get n "C")))))
   "gpt_body"      (fn [n] (course.gpt-body (config-of n)))
   "GPT"           (fn [n] (course.GPT (config-of n)))})

;; What has no shapes to begin with: texts, an optimizer, a function to apply to layers.
(setv SHAPELESS #{"CharTokenizer" "adamw" "normal_init"})

(setv PUBLIC (lfor  path STEPS  name (defined-in path)  name)
      SHAPED (lfor  name PUBLIC  :if (not-in name SHAPELESS)  name))

(defn [(pytest.mark.parametrize "name" SHAPED)] test-docstring-shapes [name]
  (setv piece (getattr course name)
        found (shapes-of piece))
  (assert found "its docstring should begin with shapes, an arrow and a colon")
  (setv [inputs outputs] found)
  (for [seed (range 5)]
    (torch.manual-seed seed)
    (setv n (any-sizes seed)
          act (if (in name CALLS) ((get CALLS name) n) piece)
          result (act #* (samples inputs n)))
    (if (= outputs "T pairs")
      (assert (= (lfor  pair result  (len pair)) (* [2] (get n "T"))))
      (assert (= (lfor  y (if (isinstance result torch.Tensor) [result] result)  (tuple y.shape))
                 (lfor  [shape _] (groups outputs)  (lengths shape n)))))))

(defn test-what-has-no-shapes-has-none []
  (for [name SHAPELESS]
    (assert (is (shapes-of (getattr course name)) None))))

(defn test-the-reader-of-shapes []
  (defn read [words]
    (defn piece [] None)
    (setv piece.__doc__ words)
    (shapes-of piece))
  (assert (= (read "(... T D) (S) -> (... T S): x")
             [[#("... T D" False) #("S" False)] "(... T S)"]))
  (assert (= (read "((B T) (B\n  T))... -> (): x") [[#("(B T) (B\n  T)" True)] "()"]))
  (assert (= (read "-> (T T): x") [[] "(T T)"]))
  (assert (is (read "An x: y -> z") None))
  (setv n {"T" 5 "count" 2 "N" 9 "n" 8 "C" 3 "..." [2 4]})
  (assert (= (lengths "... T+count N-n 4*C" n) #(2 4 7 1 12))))


;;; Docstring examples: `form  ; => value`, or `; form => value` after the sentence

(setv EXAMPLE (re.compile r"(?:^|; )(\(.*?\))(?:  ;)? => (.+)$" re.MULTILINE))

(defn docstrings [module]
  "#(where words): all docstrings of MODULE, its classes and their methods."
  (setv out [#(module.__name__ (or module.__doc__ ""))])
  (for [[name piece] (.items (vars module))
        :if (= (getattr piece "__module__" None) module.__name__)]
    (.append out #(name (or piece.__doc__ "")))
    (when (isinstance piece type)
      (.extend out (lfor  [method f] (.items (vars piece))
                          :if (inspect.isfunction f)
                          #(f"{name}.{method}" (or f.__doc__ ""))))))
  out)

(setv EXAMPLES (lfor  path [#* STEPS (/ FOLDER.parent "config.hy")]
                      :setv module (importlib.import-module (hyflakes.module-name path))
                      [where words] (docstrings module)
                      [form value] (.findall EXAMPLE (inspect.cleandoc words))
                      (pytest.param module form value :id where)))

(defn [(pytest.mark.parametrize #("module" "form" "value") EXAMPLES)]
      test-docstring-examples [module form value]
  (assert (= (repr (hy.eval (hy.read form) (vars module))) value)))

(defn test-examples-are-found []
  (assert (>= (len EXAMPLES) 3))
  (setv arrows (sum (gfor  path STEPS  (.count (text-of path) "=>"))))
  (assert (= arrows (len (lfor  e EXAMPLES  :if (.startswith (. (get e.values 0) __name__)
                                                             "nanogpt_hy.course")
                                e)))))


;;; The Python twin

(setv INVENTED r"_hy_|hyx_|\bhy\.|\bhyrule\b|import hy\b")

(defn [each-step] test-twin-reads-as-if-written-by-hand [path]
  (setv python (python-of path))
  (assert (= (re.findall INVENTED python) []))
  ;; and nothing but torch and the standard library is needed to run it
  (for [node (ast.walk (ast.parse python))]
    (when (isinstance node #(ast.Import ast.ImportFrom))
      (setv name (or (getattr node "module" None) (. (get node.names 0) name)))
      (assert (in (get (.split name ".") 0) ["math" "torch" "nanogpt_hy"]))
      (assert (or (not (.startswith name "nanogpt_hy")) (.startswith name "nanogpt_hy.course."))))))

(defn [(pytest.fixture :scope "module")] twin [tmp-path-factory]
  "The whole course as Python files, imported as the package twin_of_the_course."
  (setv folder (/ (tmp-path-factory.mktemp "python") "twin_of_the_course"))
  (.mkdir folder)
  (for [path [CONTENTS #* STEPS]]
    (.write-text (/ folder f"{path.stem}.py")
                 (.replace (python-of path) "nanogpt_hy.course" "twin_of_the_course")
                 :encoding "utf-8"))
  (.insert sys.path 0 (str folder.parent))
  (yield (importlib.import-module "twin_of_the_course"))
  (.remove sys.path (str folder.parent))
  (for [name (list sys.modules)  :if (.startswith name "twin_of_the_course")]
    (del (get sys.modules name))))

(defn trained [pieces]
  "20 steps of PIECES' GPT, with dropout on -> its weights, and a text that it writes."
  (torch.manual-seed 7)
  (setv text   (* "to be, or not to be: that is the question\n" 20)
        tokenizer (pieces.CharTokenizer text)
        data   (torch.tensor (.encode tokenizer text))
        [train val] (pieces.split data)
        c      (GPTConfig :vocab-size tokenizer.vocab-size :block-size 8 :n-layer 2 :n-head 2
                          :n-embd 16 :dropout 0.1)
        model  (.apply (pieces.GPT c) pieces.normal-init)
        adam   (pieces.adamw model :learning-rate 1e-2)
        losses [])
  (for [_ (range 20)]
    (setv batches (lfor  _ (range 2)  (pieces.draw-batch train :batch-size 4 :block-size 8)))
    (.append losses (pieces.train-step model adam #* batches)))
  (.append losses (pieces.evaluate model [(pieces.draw-batch val :batch-size 4 :block-size 8)]))
  (setv ids (pieces.generate model (torch.zeros 1 1 :dtype torch.long) 30 :block-size 8))
  [(list (.parameters model)) losses (.decode tokenizer (.tolist (get ids 0)))])

(defn test-twin-trains-to-the-same-bits [twin]
  (assert (.endswith twin.GPT.__module__ "s12_gpt"))
  (assert (.endswith (inspect.getsourcefile twin.GPT) ".py"))
  (setv [weights losses text] (trained course)
        [twin-weights twin-losses twin-text] (trained twin))
  (assert (< (get losses -2) (get losses 0)))
  (for [[one other] (zip [#* weights #* losses] [#* twin-weights #* twin-losses] :strict True)]
    (assert (torch.equal one other)))
  (assert (= text twin-text)))

(defn [(pytest.mark.parametrize "name" ["average_loop" "average_matmul" "average_softmax"
                                        "average_cumulative"])]
      test-twin-averages [twin name]
  (setv x (torch.randn 2 5 3))
  (assert (torch.equal ((getattr twin name) x) ((getattr course name) x))))
