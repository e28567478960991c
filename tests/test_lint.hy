"The house style and the rings, held by machine: what can be checked without running anything."

(import  re
         subprocess
         pathlib [Path]
         hy
         pytest
         hyflakes)

(setv ROOT    (. (Path __file__) (resolve) parent parent)
      PACKAGE (/ ROOT "src" "nanogpt_hy")
      TOP     #{".ci" ".gitattributes" ".gitignore" "LICENSE" "README.md" "pyproject.toml" "data"
                "scripts" "src" "tests"}
      FILES   (sorted (gfor  folder ["src" "tests" "scripts"]
                             path (.rglob (/ ROOT folder) "*.hy")
                             path))
      MODULES (sorted (.rglob PACKAGE "*.hy")))

(defn short [path]
  "A path as pytest should show it."
  (.as-posix (.relative-to path ROOT)))

(defn lines [path]
  "Path -> [#(number text) ...]: the lines of a file, counted from 1."
  (list (enumerate (.split (.read-text path :encoding "utf-8") "\n") 1)))

(defn wrong-lines [path pattern]
  "Path, regular expression -> [str]: the lines in which it is found, with their places."
  (lfor  [n text] (lines path)
        :if (re.search pattern text)
        f"{(short path)}:{n}: {text}"))

(defn assert-none [found]
  "[str] -> None: fails with all of them, a line each, where pytest would show the first."
  (when found
    (pytest.fail (+ "\n" (.join "\n" found)) :pytrace False)))


;;; Each file

(setv each-file (pytest.mark.parametrize "path" FILES :ids short))

(defn [each-file] test-hyflakes [path]
  (assert-none (hyflakes.check path)))

(defn [each-file] test-whitespace [path]
  (assert-none (wrong-lines path r"\t|\r|\s$"))
  (assert (.endswith (.read-text path :encoding "utf-8") "\n")))

(defn [each-file] test-width [path]
  (assert-none (wrong-lines path r"^.{101,}")))

(defn [each-file] test-closing-parens-are-never-alone [path]
  ;; but for the ]] that ends a raw string, which may need a line of its own
  (assert-none (wrong-lines path r"^\s*(?!\]\])[\])}]+\s*(;.*)?$")))


;; The linter itself: what it must find, and what it must leave in peace

(defn [(pytest.mark.parametrize #("source" "words") [
        #("(setv y (unless 1 2))"                 "undefined name 'unless'")
        #("(import math)"                         "'math' imported but unused")
        #("(defn f [x] (setv y 1) x)"             "local variable 'y'")
        #("(defn f [x &optional y] [x y])"        "&optional is an old lambda-list keyword")
        #("(defn f [x T] (get x #(0 :T)))"        "a :keyword as an index")
        #("(defn f [] \"only this\")"             "f returns its only string")
        #("(defn good? [x] (print x))"            "good? has a mangled name")
        #("(defn f [x] (print x)"                 "")
        #("(if 1 2)"                              "")])]
      test-hyflakes-finds [tmp-path source words]
  (setv path (/ tmp-path "bad.hy"))
  (.write-text path source)
  (setv found (hyflakes.check path))
  (assert (= (len found) 1))
  (assert (in words (get found 0))))

(defn [(pytest.mark.parametrize "source" [
        "(defn f [x] \"x -> x.\" x)"
        "(defn #^ (get dict \"key\") f [x] x)"
        "(defn f [x] (when x (print x)) (lfor  y x :if y (do (setv z y) z)))"
        "(eval-when-compile (require hyrule [-> ncut]))\n(defn f [x T] (-> x (ncut : (: T))))"])]
      test-hyflakes-is-quiet [tmp-path source]
  (setv path (/ tmp-path "good.hy"))
  (.write-text path source)
  (assert (= (hyflakes.check path) [])))


;;; The rings of the design: imports only point inwards

(setv RINGS [#{"errors" "notation" "forms" "tracing" "config"}     ; what everybody may use
             #{"course"}                                   ; the book
             #{"ladder"                                    ; its stages
               "fast" "products" "recording" "backprop"    ; the same GPT for speed
               "inference" "kv_cache"}
             #{"lab"}                                      ; what surrounds a model
             #{"lessons"}])                                ; and what stands beside them: outermost

(defn ring [module]
  "Dotted name -> int: its ring. The package itself only makes names on demand: inmost."
  (setv parts (.split module "."))
  (when (= (len parts) 1)
    (return 0))
  (for [[number names] (enumerate RINGS)]
    (when (in (get parts 1) names)
      (return number)))
  (- (len RINGS) 1))

(defn dotted [form]
  "Model -> str: the name that a.b or ..b stands for, in Python's spelling; '' for other forms."
  (when (isinstance form hy.models.Symbol)
    (return (hy.mangle form)))
  (when (not (and (isinstance form hy.models.Expression) form (= (set (str (get form 0))) #{"."})))
    (return ""))
  (setv [dots first #* rest] form        ; a.b is (. a b), and ..b is (.. None b)
        start (if (= first 'None) (str dots) (+ (dotted first) ".")))
  (+ start (.join "." (map dotted rest))))

(defn path-of [module]
  "Dotted name -> Path, without a suffix."
  (.joinpath (/ ROOT "src") #* (.split module ".")))

(defn is-module [name]
  "Whether a dotted name is a file or a folder of the package."
  (setv path (path-of name))
  (any (gfor  p [path (.with-suffix path ".hy") (.with-suffix path ".py")]  (.exists p))))

(defn absolute [name here]
  "A relative name, .x or ..x.y, as the module `here` means it; others as they are."
  (setv dots (- (len name) (len (.lstrip name "."))))
  (if dots
      (.rstrip (.join "." [#* (cut (.split here ".") (- dots)) (.lstrip name ".")]) ".")
      name))

(defn clause-modules [name names]
  "What an import's clause means: `nanogpt_hy.lab [files]` is the module nanogpt_hy.lab.files."
  (setv inside (lfor  n names  :setv full f"{name}.{n}"  :if (is-module full) full))
  (if (and inside (= (len inside) (len names))) inside [name #* inside]))

(defn imported [form here]
  "Form, its module -> [str]: the package's modules that it imports or requires, however deep."
  (when (not (isinstance form hy.models.Sequence))
    (return []))
  (setv found [])
  (when (and (isinstance form hy.models.Expression) form (in (get form 0) ['import 'require]))
    (for [[part after] (zip (cut form 1 None) [#* (cut form 2 None) None])]
      (setv name  (absolute (dotted part) here)
            names (if (isinstance after hy.models.List) (lfor  n after  (dotted n)) []))
      (when (= (get (.split name ".") 0) "nanogpt_hy")
        (.extend found (clause-modules name names)))))
  (for [part form]
    (.extend found (imported part here)))
  found)

(defn module-imports [path]
  "Path -> #(its dotted name, the modules of this package that it imports)."
  (setv here (hyflakes.module-name path)
        inside (if (= path.stem "__init__") f"{here}.__init__" here)     ; where .x starts from
        forms (hy.read-many (.read-text path :encoding "utf-8") :filename (str path)))
  #(here (sfor  form forms  name (imported form inside)  name)))

(setv each-module (pytest.mark.parametrize "path" MODULES :ids short))

(defn [each-module] test-imports-exist [path]
  (setv [here names] (module-imports path))
  (assert-none (lfor  name names  :if (not (is-module name)) f"{here}: there is no {name}")))

(defn [each-module] test-imports-point-inwards [path]
  (setv [here names] (module-imports path))
  (assert-none (lfor  name names  :if (> (ring name) (ring here)) f"{here} imports {name}")))

(defn [each-module] test-steps-have-numbers-only-in-the-course [path]
  "Outside of the course a step is imported from the contents page; inside, only earlier steps are."
  (setv [here names] (module-imports path)
        steps (sorted (gfor  name names  :if (.startswith name "nanogpt_hy.course.s") name)))
  (cond
    (= here "nanogpt_hy.course")
      (assert steps)
    (.startswith here "nanogpt_hy.course.")
      (do
        (assert-none (lfor  step steps  :if (>= step here) f"{here} imports {step}"))
        (assert (not-in "nanogpt_hy.course" names)))
    True
      (assert-none (lfor  step steps  f"{here} imports {step}, not nanogpt_hy.course"))))

(defn test-no-module-twice []
  "A .hy and a .py of one name: which one wins would depend on who was imported first."
  (setv stems (lfor  path (.rglob PACKAGE "*")
                    :if (in path.suffix [".hy" ".py"])
                    (.with-suffix path "")))
  (assert (= (len stems) (len (set stems)))))

(defn [(pytest.mark.parametrize #("source" "here" "names") [
        #("(import torch nanogpt-hy.course [GPT])"  "nanogpt_hy.lab.x" #{"nanogpt_hy.course"})
        #("(import nanogpt-hy.lab [files])"   "nanogpt_hy.lab.x" #{"nanogpt_hy.lab.files"})
        #("(import .markov [Chain] math)"     "nanogpt_hy.lab.x" #{"nanogpt_hy.lab.markov"})
        #("(import ..config :as c)"           "nanogpt_hy.lab.x" #{"nanogpt_hy.config"})
        #("(defn f [] (import nanogpt-hy.fast) 1)"  "nanogpt_hy.lab.x" #{"nanogpt_hy.fast"})
        #("(eval-when-compile (require nanogpt-hy.notation [deflayer]))"
          "nanogpt_hy.course.s01_tokens" #{"nanogpt_hy.notation"})])]
      test-imports-are-seen [source here names]
  (assert (= names (sfor  form (hy.read-many source)  name (imported form here)  name))))


;;; The repository

(defn test-top-level []
  "Nothing at the top of the repository that the design does not name."
  (setv listing (subprocess.run ["git" "ls-files" "--cached" "--others" "--exclude-standard"]
                                :cwd ROOT  :capture-output True  :text True))
  (when (and (= listing.returncode 0) listing.stdout)      ; from an archive there is no git to ask
    (setv names (sfor  name (.splitlines listing.stdout)  (get (.split name "/") 0)))
    (assert-none (sorted (- names TOP)))))

(defn test-nothing-of-one-machine []
  "No absolute path of somebody's computer in what others will run."
  (setv pattern (re.compile r"(?<![\w.~$/-])/(home|Users|root|work|opt)/\w"))
  (for [path [#* FILES #* (.iterdir (/ ROOT "scripts")) (/ ROOT ".ci" "run")
              (/ ROOT "pyproject.toml")]]
    (when (and (.is-file path) (!= path.name "test_lint.hy"))
      (assert-none (wrong-lines path pattern)))))
