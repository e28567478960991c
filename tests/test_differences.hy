"The difference of two stages: the fewest edits between two forms, their marks, and no torch."

(import  io [StringIO]
         re
         subprocess
         sys
         pytest
         nanogpt-hy.lab.console [plain-console]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lab.lisp.differences [changes kept marked-lines quoted show-difference tree]
         nanogpt-hy.lab.lisp.finding [stage-piece])

(setv STAGES (.split (+ "bigram embedding position average head multi-head feed-forward blocks "
                        "residual layer-norm dropout gpt fast")))

(defn edits [old new]
  "Two forms -> what is said of OLD, what is said of NEW."
  (setv nodes [(tree old) (tree new)]
        pairs (kept #* nodes))
  (lfor  [node sign] (zip nodes "-+")  (list (changes node pairs sign))))

(defn shown [old new #** options]
  (setv out (StringIO))
  (show-difference old new :console (plain-console out :width 80 #** options))
  (.getvalue out))

(defn [(pytest.mark.parametrize #("old" "new" "removed" "added")
         [#('(f a b)   '(f a b)         []                 [])
          #('(f a)     '(f a b)         []                 ["+ b  in (f a b)"])
          #('(f a b)   '(f b)           ["- a  in (f a b)"]  [])
          #('(f (g x)) '(f (h (g x)))   []                 ["+ (h …)  around (g x)"])
          #('(f (h (g x))) '(f (g x))   ["- (h …)  around (g x)"]  [])
          #('(f (g x)) '(f (h x))       []                 ["± h  instead of g"])
          #('(f (g x)) '(f (h 1 (k (g x) y)))  []          ["+ (h 1 (k … y))  around (g x)"])
          #('(f [a])   '(f #(a))        ["- […]  around a"]  ["+ #(…)  around a"])
          #('(f (g x) (g x)) '(f (g x)) ["- (g x)  in (f (g x) (g x))"]  [])])]
    test-the-fewest-edits-in-words [old new removed added]
  (assert (= (edits old new) [removed added])))

(defn test-what-is-kept-stands-in-the-same-order []
  (setv [old new] [(tree '(f a b c)) (tree '(f c a b))]
        pairs     (kept old new)
        both      (lfor  part old.parts  :if (in part pairs)  part.name))
  (assert (= both ["a" "b"])))

(defn test-a-tree-is-the-form []
  (for [name STAGES]
    (setv form (get (. (stage-piece name) forms) 0 2))
    (assert (= (hy.read (quoted (tree form))) form))))

(defn test-marks-stand-under-what-is-new []
  (setv lines (.splitlines (shown "multi-head" "feed-forward"))
        at    (.index lines "  (between (fn [c] (nn.Sequential (heads c) (think c))))"))
  (assert (= (get lines (+ at 1))
             "+                  ++++++++++++++           ++++++ +++")))

(defn [(pytest.mark.parametrize #("old" "new") (list (zip STAGES (cut STAGES 1 None))))]
    test-unmarked-parts-of-both-are-the-same [old new]
  "Without what is marked, the one form and the other are the same text but for spaces."
  (setv forms (lfor  name [old new]  (get (. (stage-piece name) forms) 0 2))
        nodes (list (map tree forms))
        pairs (kept #* nodes))
  (setv [left right]
    (lfor  [form node] (zip forms nodes)
           (.join "" (gfor  [line flags] (marked-lines form node pairs 76)
                            [c flag] (zip line flags :strict True)
                            :if (not (or flag (.isspace c)))
                            c))))
  (assert (= left right)))

(defn test-residual-to-layer-norm-in-words []
  (assert (.endswith (shown "residual" "layer-norm")
                     (+ "+ (nn.Sequential … (nn.LayerNorm c.n-embd))  around (stack …)\n"
                        "+ (norm c …)  around (attention c)\n"
                        "+ (norm c …)  around (feed-forward c)\n"))))

(defn test-the-first-weights-are-part-of-it []
  (assert (in "± first weights: normal  instead of torch" (shown "dropout" "gpt")))
  (assert (in "the same form" (shown "gpt" "gpt"))))

(defn test-colours-or-signs []
  (setv plain (shown "residual" "layer-norm")
        coloured (shown "residual" "layer-norm" :force-terminal True :color-system "standard")
        bare (re.sub "\x1b\\[[0-9;]*m" "" coloured))
  (assert (in "+                                                +++++ +              +\n" plain))
  (assert (not-in "\x1b" plain))
  (assert (in "\x1b[1;32m" coloured))
  (assert (not-in "+++++" bare))
  (assert (in "+++++" (shown "residual" "layer-norm" :force-terminal True :no-color True))))

(defn test-it-fits-into-80-columns []
  (for [[old new] (zip STAGES (cut STAGES 1 None))]
    (setv forms (.split (shown old new) "\n\n"))
    (for [line (.splitlines (.join "\n" (cut forms 2)))]
      (assert (<= (len line) 80) line))))

(defn test-an-unknown-stage []
  (with [_ (pytest.raises RequestError :match "did you mean residual")]
    (shown "residul" "layer-norm")))

(defn test-no-torch []
  (setv code (+ "import hy, sys; from nanogpt_hy.lab.lisp.differences import show_difference; "
                "show_difference('head', 'gpt'); sys.exit('torch' in sys.modules)"))
  (assert (= 0 (. (subprocess.run [sys.executable "-c" code] :capture-output True) returncode))))
