"Every piece as it stands in its file, with its macros expanded, and as the Python it becomes."

(import  ast
         io [StringIO]
         subprocess
         sys
         types [ModuleType]
         hy.compiler [hy-compile]
         pytest
         rich.console [Console]
         rich.text [Text]
         torch
         nanogpt-hy.config [GPTConfig]
         nanogpt-hy.course [GPT]
         nanogpt-hy.course.s08-head :as s08
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.lisp.finding [find-piece HOME module-paths public-names]
         nanogpt-hy.lab.lisp.layout [pretty]
         nanogpt-hy.lab.lisp.showing [show-piece]
         nanogpt-hy.lab.lisp.twin [expansion-of python-of source-of twin-of-module])

(defn file-of [name]
  (.read-text (/ HOME name) :encoding "utf-8"))

(defn shown [name [width 80] [terminal False] #** options]
  "What show-piece prints."
  (setv out (StringIO))
  (show-piece name :console (Console :file out :force-terminal terminal :width width :no-color True)
              #** options)
  (.getvalue out))


;;; Source

(defn test-source-is-what-stands-in-the-file []
  (setv text (file-of "course/s08_head.hy"))
  (for [name ["Head" "attend" "s08" "course.s08-head" "attention_weights"
              "nanogpt-hy.course.s08-head.Head" "nanogpt_hy.course.s08_head.attend" "s08.Head"
              "course.attend" "nanogpt_hy.course.Head"]]
    (assert (in (source-of name) text)))
  (assert (= (source-of "s08") (source-of "course.s08_head") text))
  (assert (.startswith (source-of "Head") "(deflayer Head [n-embd head-size"))
  (assert (in "; for the scaled-up model, see step 11" (source-of "Head")))
  (assert (.endswith (source-of "Head") "x.device))))"))
  (assert (= (. (find-piece "Head") line)
             (+ 1 (.index (.splitlines text) (get (.splitlines (source-of "Head")) 0))))))

(defn test-methods-without-what-is-around-them []
  (assert (= (source-of "Embed.forward") #[=[
(forward [self ids]
  (setv places (torch.arange (get ids.shape 1) :device ids.device))  ; (T)
  (+ (self.token ids) (self.position places)))          ; (B T C) + (T C)]=]))
  (assert (= (source-of "CharTokenizer.encode") (source-of "s01-tokens.CharTokenizer.encode")
             #[=[
(defn encode [self text]
  "text -> list of ids
  ; (.encode (CharTokenizer \"abba\") \"bab\") => [1, 0, 1]"
  (lfor  char text  (get self.ids char)))]=]))
  (setv piece (find-piece "CharTokenizer.encode"))
  (assert (in "(defn encode" (get (.splitlines (.read-text piece.path)) (- piece.line 1)))))

(defn test-an-inherited-method-is-found-where-it-is []
  (setv piece (find-piece "GPT.forward"))
  (assert (= piece.name "LanguageModel.forward"))
  (assert (in "self.lm-head" piece.text)))

(defn test-macros-constants-and-stages []
  (assert (.startswith (source-of "deflayer") "(defmacro deflayer"))
  (assert (.startswith (source-of "PRESETS") "(setv PRESETS"))
  (assert (.startswith (source-of "META-DEFAULTS") "(setv META-KINDS"))       ; a setv has many
  (assert (in "compilable [x weight bias]" (source-of "compilable")))       ; a decorator two lines
  (assert (.startswith (source-of "stage.multi-head") "\"multi-head\" (Stage "))
  (assert (= (source-of "stage head") (source-of "stage.head")))
  (assert (in (get (.splitlines (source-of "stage dropout")) 0) (file-of "ladder.hy")))
  (assert (.startswith (source-of "course") "\"The contents page"))
  (assert (.startswith (source-of "cross-entropy") "(defn cross-entropy")))

(defn test-a-step-has-more-names-than-one []
  (for [name ["8" "08" "s8" "step 8"]]
    (assert (= (source-of name) (source-of "s08"))))
  (with [_ (pytest.raises RequestError :match "there is no 's99' to show")]
    (source-of "99")))

(defn test-what-is-taught-comes-before-a-module-of-the-lab []
  (assert (.startswith (source-of "adamw") "(defn adamw [model"))
  (assert (.startswith (source-of "training.adamw") "\"AdamW by torch's own kernel")))

(defn test-a-name-in-another-case-is-understood []
  (assert (= (source-of "head") (source-of "Head")))
  (assert (= (source-of "languagemodel") (source-of "LanguageModel"))))

(defn [(pytest.mark.parametrize ["name" "says"]
         [["Haed" "did you mean Head?"] ["atend" "did you mean attend?"]
          ["Head.fowrard" "did you mean forward?"] ["stage.hed" "did you mean head?"]
          ["" "say a name"] [". ." "say a name"] ["zzzzzz" "say a name"]
          ["nanogpt_hy" "there is no"] ["nanogpt-hy." "there is no"]
          ["Name" "there is no 'Name'"] ["lab.draw" "lab.lisp.workbench.draw or lab.sampler.draw"]
          ["a\nb" "there is no"] ["../errors" "there is no"]])]
  test-an-unknown-name-is-one-line-with-a-way-out [name says]
  (with [info (pytest.raises RequestError)]
    (source-of name))
  (assert (in says (str info.value)))
  (assert (= (len (.splitlines (str info.value))) 1)))


;;; Python

(defn test-python-is-what-one-would-type []
  (assert (= (python-of "next-logits") #[=[
def next_logits(model, ids, *, block_size=0):
    """(B T) -> (B V): logits of the token after each row. The model is shown the
    last block-size tokens (0: all)."""
    return model(ids[:, -block_size:])[:, -1]]=]))
  (assert (= (python-of "Embed.forward") #[=[
def forward(self, ids):
    places = torch.arange(ids.shape[1], device=ids.device)
    return self.token(ids) + self.position(places)]=]))
  (assert (in "def __init__(self, n_embd, head_size, *, dropout=0.0):" (python-of "Head")))
  (assert (in "return [ids[:n], ids[n:]]" (python-of "split")))
  (assert (.endswith (python-of "GPT") "    super().__init__(c, gpt_body)"))
  (assert (.startswith (python-of "generate") "@torch.no_grad()\ndef generate("))
  (assert (.startswith (python-of "stage.head") "Stage('the past")))

(defn test-the-course-has-no-trace-of-hy-in-its-python []
  (for [path (module-paths)  :if (= path.parent.name "course")]
    (setv text (twin-of-module path)
          tree (ast.parse text))
    (assert (not-in "slice(" text))
    (assert (not-in "hyrule" text))
    (assert (not (any (gfor  node (ast.walk tree)
                             (and (isinstance node ast.Name) (= node.id "hy"))))))
    (when (!= path.stem "__init__")
      (assert (= (python-of (+ "course." path.stem)) text)))))

(defn in-python [name]
  "The Python of the course's module NAME, run as a module of its own."
  (setv module (ModuleType "twin"))
  (exec (twin-of-module (/ HOME "course" name)) module.__dict__)
  module)

(defn test-a-twin-computes-the-same []
  (setv twin (in-python "s08_head.hy")
        x (torch.randn 2 5 8))
  (torch.manual-seed 1)
  (setv ours (s08.Head 8 4))
  (torch.manual-seed 1)
  (setv theirs (twin.Head 8 4))
  (assert (torch.equal (ours x) (theirs x)))
  (setv twin (in-python "s12_gpt.hy")
        c (GPTConfig :vocab-size 7 :block-size 5 :n-layer 2 :n-head 2 :n-embd 8)
        ids (torch.randint 7 #(3 5)))
  (torch.manual-seed 1)
  (setv ours (GPT c))
  (torch.manual-seed 1)
  (setv theirs (twin.GPT c))
  (assert (torch.equal (ours ids) (theirs ids))))

(defn test-hy-is-imported-where-it-is-needed []
  (setv text (twin-of-module (/ HOME "notation.hy")))
  (assert (in "\nimport hy\n" text))
  (setv code (compile text "notation" "exec"))
  (assert (in "hy" code.co-names)))

(defn test-slices-and-unused-values-are-tidied-and-nothing-else [tmp-path]
  (setv path (/ tmp-path "some.hy"))
  (.write-text path #[=[
(defn f [x n parts]
  "Doc
  more."
  (when n (print n))
  (setv a (get x #((slice None) (slice 1 None) None ...))
        b (get x (slice n))
        c (cut x 1 None 2)
        d (get x (slice #* parts))
        e (slice 1 2))
  (when (is n None) (raise (ValueError "n")))
  (if n (.append x 1) (.append x 2))
  (for [i x] (when i (print i)))
  [a b c d e])
]=])
  (assert (= (twin-of-module path) #[=[
def f(x, n, parts):
    """Doc
    more."""
    print(n) if n else None
    a = x[:, 1:, None, ...]
    b = x[:n]
    c = x[1::2]
    d = x[slice(*parts)]
    e = slice(1, 2)
    if n is None:
        raise ValueError('n')
    x.append(1) if n else x.append(2)
    for i in x:
        print(i) if i else None
    return [a, b, c, d, e]]=])))


;;; Expansion

(defn test-expansions-have-no-macros-left-and-mean-the-same []
  (setv text (expansion-of "Head"))
  (assert (.startswith text "(defclass Head [nn.Module]\n"))
  (assert (in "(.__init__ (super))" text))
  (assert (= (expansion-of "LanguageModel.forward")
             "(defn forward [self ids]\n  (self.lm-head (self.body (self.embed ids))))"))
  (assert (in "(get (model (get ids #((slice None None) (slice (- block-size) None))))"
              (expansion-of "next-logits")))
  (for [name ["Head" "generate" "LanguageModel" "average-loop" "PRESETS" "GPT" "CharTokenizer"]]
    (setv tree (hy-compile (hy.read (expansion-of name)) "__main__" :import-stdlib False))
    (assert (= (.split (ast.unparse tree))
               (.split (ast.unparse (plain-tree name)))))))

(defn plain-tree [name]
  "The Python tree of a piece, as Hy makes it."
  (setv module (ModuleType "plain"))
  (hy.eval '(require hyrule [-> ncut] nanogpt-hy.notation [deflayer])
           module.__dict__ :module module)
  (hy-compile (hy.read (source-of name)) module :import-stdlib False))

(defn test-printed-forms-read-as-the-same-forms []
  (for [path (module-paths)  :if (in path.parent.name ["course" "nanogpt_hy"])
        form (hy.read-many (.read-text path :encoding "utf-8"))]
    (assert (= (hy.read (pretty form 0 60)) form))))


;;; Showing

(defn test-plain-output-is-source []
  (setv text (shown "attend" :python True))
  (assert (in (source-of "attend") text))
  (assert (in (python-of "attend") text))
  (assert (.startswith text ";; nanogpt_hy/course/s08_head.hy, line "))
  (assert (in "\n# attend in Python\n" text))
  (assert (not-in "\x1b" text)))

(defn test-a-terminal-shows-everything-within-its-width []
  (for [width [40 80 109 110 200]
        options [{} {"python" True} {"python" True "macroexpand" True}]]
    (setv text (shown "Head" :width width :terminal True #** options)
          lines (lfor  line (.splitlines text)  (. Text (from-ansi line) plain)))
    (assert (<= (max (map len lines)) width))
    (assert (in "head-size" text))))

(defn test-side-by-side-where-there-is-room []
  (setv [narrow wide] (lfor  width [80 130]
                             (.splitlines
                               (shown "Embed" :width width :terminal True :python True))))
  (assert (> (len narrow) (len wide)))
  (setv both (fn [line] (and (in "deflayer" line) (in "class" line))))
  (assert (any (map both wide)))
  (assert (not (any (map both narrow)))))

(defn test-showing-loads-no-torch-and-a-plain-source-no-hyrule []
  (for [[options expected] [["" ["hy"]] ["python=True" ["hy" "hyrule"]]]]
    (setv code (+ "import sys; from nanogpt_hy.lab.lisp.showing import show_piece\n"
                  f"show_piece('next-logits', {options})\n"
                  "print([m for m in ('hy', 'hyrule', 'torch') if m in sys.modules])")
          out (subprocess.run [sys.executable "-c" code]
                              :capture-output True :text True :check True))
    (assert (= (get (.splitlines out.stdout) -1) (repr expected)))))

(defn test-every-name-of-the-course-can-be-shown []
  (import nanogpt-hy.course)
  (setv names (sfor  [name value] (.items (vars nanogpt-hy.course))
                     :if (in ".course." (getattr value "__module__" ""))
                     (hy.unmangle name)))
  (assert (in "attend" names))
  (assert (<= names (set (public-names))))
  (for [name names]
    (assert (in name (source-of name)))
    (ast.parse (python-of name))
    (assert (expansion-of name))))
