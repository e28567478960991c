"A place to try things: a Hy REPL with the course, its macros and readable tensors at hand; and Hy
cells in IPython and Jupyter, that share the notebook's names and have the same macros."

(eval-when-compile
  (require hyrule [unless]))
(import  contextlib [contextmanager]
         importlib [import-module]
         linecache
         sys
         traceback
         types [ModuleType]
         hy.repl [REPL]
         nanogpt-hy.errors [RequestError UserError]
         nanogpt-hy.lab.lisp.hints [hint-for python-in]
         nanogpt-hy.lab.lisp.showing [show-piece]
         nanogpt-hy.tracing [describe in-short])

;; What the REPL has at hand besides the whole course, which is long to load: module and names.
(setv AT-HAND [["config" ["GPTConfig" "TrainConfig" "PRESETS"]]
               ["ladder" ["STAGES" "build-model"]]
               ["lab.data.markov" ["ab-chain" "draw-lines" "floor"]]
               ["lab.checkpoints.trained" ["open-model"]]
               ["lab.inside.baby" ["baby-gpt"]]
               ["lab.inside.attention" ["attention"]]
               ["lab.inside.outlook" ["next-characters" "embeddings"]]
               ["lab.inside.machine" ["machine"]]
               ["lab.inside.losses" ["loss-by-position" "loss-curve"]]
               ["lab.inside.truth" ["truth"]]
               ["lab.lisp.workbench" ["show"]]])

;; Macros, alike in the REPL and in cells.
(setv MACROS '(require hyrule [-> ->> as-> doto ncut unless]
                       nanogpt-hy.notation [deflayer shapes traced]))

(setv FEW 16)      ; tensors of so many numbers are shown with them


;;; What is at hand

(defn names-at-hand []
  "name -> value: torch, the course, and what AT-HAND lists."
  {"hy" hy
   "torch" (import-module "torch")
   "nn" (import-module "torch.nn")
   "F" (import-module "torch.nn.functional")
   #** (dfor  [name value] (.items (vars (import-module "nanogpt_hy.course")))
              :if (.startswith (getattr value "__module__" "") "nanogpt_hy.course.")
              name value)
   #** (dfor  [module names] AT-HAND
              name (map hy.mangle names)
              name (getattr (import-module f"nanogpt_hy.{module}") name))})

(defn show [what #** options]
  "Print the source of WHAT, a name or the thing itself: (show \"s08\"), (show Head :python True),
  (show attend :macroexpand True). Draw what was found out about a model: (show (machine model))."
  (cond
    (isinstance what dict)            (draw what)
    (isinstance what str)             (show-piece what #** options)
    (or (isinstance what ModuleType) (hasattr what "__qualname__"))
                                      (show-piece (own-name what) #** options)
    True                              (show (type what) #** options)))

(defn own-name [what]
  "module, function or class of this project -> the name by which it is found."
  (setv name (if (isinstance what ModuleType)
                 what.__name__
                 f"{what.__module__}.{what.__qualname__}"))
  (when (!= (get (.partition name ".") 0) "nanogpt_hy")
    (raise (RequestError (+ f"{(.removeprefix name "__console__.")} is no piece of this project, "
                            "and only such can be shown: (help ...) says what others are"))))
  name)

(defn draw [data]
  "Plain data about a model as a picture: inline in a notebook, in characters elsewhere."
  (setv shell (when (in "IPython" sys.modules) (. sys.modules ["IPython"] (get-ipython))))
  (if (hasattr shell "kernel")
    (do (import IPython.display [display Image]
                nanogpt-hy.lab.pictures.page [png-of])
        (display (Image (png-of data))))
    (do (import nanogpt-hy.lab.inside.inspect [show-data])
        (show-data data))))

(defn numbers-text [values]
  "numbers, in lists or not -> text"
  (if (isinstance values list)
      (+ "[" (.join " " (map numbers-text values)) "]")
      (in-short values)))

(defn readable [tensor]
  "tensor -> text: shape, dtype, and range; or its numbers, if they are few."
  (setv row (describe tensor)
        few (and (get row "shape") (<= (.numel tensor) FEW) (is-not (get row "low") None))
        text (get row "text"))
  (when few
    (try
      (setv text (+ (.removesuffix text (get (.split text) -1)) (numbers-text (.tolist tensor))))
      (except [RuntimeError])))          ; quantized and nested tensors give no list
  f"<tensor {text}>")

(defn [contextmanager] readable-tensors []
  "Meanwhile hy.repr writes tensors as `readable` does; afterwards as before, by their own repr."
  (import torch)
  (setv types [torch.Tensor torch.nn.Parameter])
  (hy.repr-register types readable)
  (try
    (yield)
    (finally
      (hy.repr-register types repr))))


;;; What to say of an error

(defn advice [error typed module]
  "What to say of an ERROR in Hy that somebody TYPED, in a MODULE; None if there is nothing."
  (or (when (isinstance error #(NameError TypeError SyntaxError))
        (python-in typed))
      (when (isinstance error NameError)
        (of-a-macro error.name module))
      (hint-for error "")))

(defn of-a-macro [name module]
  "What to say where NAME, a macro in MODULE, was taken for a function, as in (help shapes)."
  (when (in name (getattr module "_hy_macros" {}))
    (setv name (hy.unmangle name))
    f"{name} is a macro, no value: (help (get-macro {name})) says what it does"))


;;; The REPL

(defclass Workbench [REPL]
  "Hy's REPL with everything at hand. An error meant for the user is one line here too; behind one
  that is often made, a line says how Hy has it."

  (defn __init__ [self]
    (.__init__ (super) :locals {#** (names-at-hand)  "__name__" "__console__"})
    (setv self.typed ""
          self.told  False               ; whether something was said of what was typed last
          self.ps1 "nanogpt> "
          self.ps2 "     ... ")
    (hy.eval MACROS self.locals :module self.module)
    (setv (get self.locals "hy") hy))

  (defn banner [self]
    (.join "\n"
      ["At hand: torch, nn, F, the course (CharTokenizer ... GPT), GPTConfig, PRESETS,"
       "STAGES, build-model; -> ncut deflayer; (shapes FORM) prints what its parts are."
       "(show \"s08\") or (show Head :python True) prints source. (exit) or Ctrl-D leaves."]))

  (defn interact [self [banner None] [exitmsg None]]
    (.interact (super) banner ""))

  (defn runsource [self source #* more #** options]        ; Python 3.13 names the symbol
    (setv self.typed source
          self.told  False
          unfinished (.runsource (super) source #* more #** options))
    (unless (or unfinished self.told)            ; as x[0], which in Hy is x, and then [0]
      (.tell self (python-in source)))
    unfinished)

  (defn tell [self hint]
    (setv self.told True)
    (when hint
      (.write self f"{hint}\n")))

  (defn showsyntaxerror [self #* more #** options]
    (setv error (get (sys.exc-info) 1))
    (.showsyntaxerror (super) #* more #** options)
    (.tell self (advice error self.typed self.module)))

  (defn showtraceback [self]
    (setv error (get (sys.exc-info) 1))
    (if (isinstance error UserError)
        (.tell self (str error))
        (do (.showtraceback (super))
            (.tell self (advice error self.typed self.module))))))

(defn repl []
  "Run the REPL until the user leaves it: 0."
  (with [_ (readable-tensors)]
    (.run (Workbench))))


;;; Cells in IPython and Jupyter

(defclass CellError [Exception]
  "Hy code that cannot be read or compiled. Not a SyntaxError, which IPython would take for one in
  Python and show with all of Hy's own frames.")

(defn load-magics [shell]
  "%load_ext nanogpt_hy: from now on %%hy and %hy run Hy in the notebook, with the macros."
  (import IPython.core.magic [no-var-expand])
  (setv (get shell.user-ns "hy") hy)
  (hy.eval MACROS shell.user-ns :module shell.user-module)

  (defn run [line [cell None]]
    "Hy: the value of the last form. Names are the notebook's."
    (run-cell shell (if (is cell None) line (+ line "\n" cell))))

  (.register-magic-function shell (no-var-expand run) "line_cell" "hy"))

(defn run-cell [shell source]
  "The value of the last form of SOURCE, run among the notebook's names."
  (setv count (.get shell.user-ns "__hy_cells__" 0)
        name f"<hy cell {(+ count 1)}>"
        (get shell.user-ns "__hy_cells__") (+ count 1)
        (get linecache.cache name) #((len source) None (.splitlines source :keepends True) name))
  (try
    (hy.eval (hy.read-many source :filename name) shell.user-ns :module shell.user-module)
    (except [error #(Exception KeyboardInterrupt)]
      (setv hint (advice error source shell.user-module))
      (raise (to-show error name hint) :from None))))

(defn to-show [error name [hint None]]
  "ERROR as the notebook is to show it: from the cell's own frame on; only its text, if the cell did
  not come to run or the error is meant for the user; and what there is to say of it, HINT."
  (setv frames error.__traceback__)
  (while (and frames (!= frames.tb-frame.f-code.co-filename name))
    (setv frames frames.tb-next))
  (setv lines (if (or (isinstance error UserError) (not frames))
                  (traceback.format-exception-only error)
                  (traceback.format-exception (type error) error frames))
        shown (if (isinstance error SyntaxError) (CellError (str error)) error)
        shown._render-traceback_ (fn [] [#* (.splitlines (.join "" lines)) #* (if hint [hint] [])]))
  shown)
