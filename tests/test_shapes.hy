"(shapes FORM) and (traced FORM): the form's own value, each part once, and what there was to see."

(eval-when-compile
  (require hyrule [-> ->> as-> ncut unless doto]
           nanogpt-hy.notation [deflayer shapes traced]))
(import  asyncio
         subprocess
         sys
         traceback
         hy.errors [HyMacroExpansionError]
         pytest
         torch
         torch.nn :as nn
         torch.nn.functional :as F
         hypothesis [given settings strategies :as st]
         nanogpt-hy.notation :as notation
         nanogpt-hy.tracing [describe drawn])

(setv q (torch.arange 24.0)  q (.reshape q 2 3 4)
      k (- q 3))

(setv calls [])

(defn seen [x]
  "x -> x, counted."
  (.append calls x)
  x)

(defn sources [rows]
  (lfor  row rows  (get row "source")))

(defn row-of [rows source]
  (setv [row] (lfor  row rows  :if (= (get row "source") source)  row))
  row)


;;; What is shown

(defn test-every-part-of-a-pipeline-of-tensors []
  (setv [rows value] (traced (@ (F.softmax (/ (@ q (.transpose k -2 -1)) (** 4 0.5)) :dim -1) k)))
  (torch.testing.assert-close value (@ (F.softmax (/ (@ q (.transpose k -2 -1)) 2) :dim -1) k))
  (assert (= (lfor  row rows  [(get row "depth") (get row "source") (get row "shape")])
             [[0 "(@ (F.softmax (/ (@ q (.transpose k -2 -1)) (** 4 0.5)) :dim -1) k)" [2 3 4]]
              [1 "(F.softmax (/ (@ q (.transpose k -2 -1)) (** 4 0.5)) :dim -1)"       [2 3 3]]
              [2 "(/ (@ q (.transpose k -2 -1)) (** 4 0.5))"                           [2 3 3]]
              [3 "(@ q (.transpose k -2 -1))"                                          [2 3 3]]
              [4 "(.transpose k -2 -1)"                                                [2 4 3]]
              [3 "(** 4 0.5)"                                                          None]]))
  (setv row (row-of rows "(.transpose k -2 -1)"))
  (assert (= [(get row "dtype") (get row "low") (get row "high")] ["float32" -3 20]))
  (assert (= (get row "text") "[2 4 3] float32 -3..20"))
  (assert (= (get (row-of rows "(** 4 0.5)") "text") "2.0")))

(defn test-the-printed-tree [capsys]
  (setv value (shapes (.sum (@ q (.transpose k -2 -1)) :dim -1)))
  (assert (= (list value.shape) [2 3]))
  (assert (= (. capsys (readouterr) out) #[[
(.sum (@ q (.transpose k -2 -1)) :dim -1)  [2 3]    float32  60..3.76e+03
  (@ q (.transpose k -2 -1))               [2 3 3]  float32  -52..1.6e+03
    (.transpose k -2 -1)                   [2 4 3]  float32  -3..20
]])))

(defn test-80-columns-whatever-the-length [capsys]
  (shapes (+ q q q q q q q q q q q q q q q q (.sum q :dim -1 :keepdim True) q q q q q q q q q q))
  (shapes (seen "a text that goes on and on, much longer than the line of a terminal could be"))
  (shapes [(seen (list (range 100))) #(q q q q q q q q q q)])
  (setv lines (.splitlines (. capsys (readouterr) out)))
  (assert (<= (max (map len lines)) 80))
  (assert (in "…" (get lines 0)))
  (assert (in "[2 3 4]  float32  6..684" (get lines 0))))

(defn test-values-of-every-sort []
  (for [[value text] [[(torch.zeros 0 3) "[0 3] float32"]
                      [(torch.tensor 2.5) "[] float32 2.5"]
                      [(torch.tensor [True False]) "[2] bool False..True"]
                      [(torch.tensor [3 65000]) "[2] int64 3..65000"]
                      [(torch.tensor [1.0 (float "nan")]) "[2] float32 nan..nan"]
                      [(torch.tensor [1.0 (float "-inf")]) "[2] float32 -inf..1"]
                      [(torch.tensor [1j]) "[1] complex64"]
                      [(torch.zeros 2 :device "meta") "[2] float32"]
                      [(nn.Parameter (torch.ones 1)) "[1] float32 1..1"]
                      [(.numpy (torch.ones 2)) "[2] float32 1..1"]
                      [(nn.Linear 2 3) "Linear(in_fea...=3, bias=True)"]
                      [(nn.Sequential (nn.Linear 2 3)) "Sequential"]
                      [seen "function"] [torch "module"] [None "None"] ["a\nb" "'a\\nb'"]
                      [(.numpy (torch.tensor [1j])) "[1] complex64"]
                      [torch.Tensor "_TensorMeta"] [(type (.numpy q)) "type"]
                      [#(q 1) "#([2 3 4] float32 0..23, 1)"]
                      [(list (range 4)) "[0, 1, 2, 3]"]
                      [(list (range 9)) "[0, 1, 2, 3, ... 9 in all]"]]]
    (assert (= (get (describe value) "text") text)))
  (setv loop [])
  (.append loop loop)
  (assert (get (describe loop) "text")))

(defn test-what-macros-become-is-shown []
  (setv [rows value] (traced (-> q (ncut : -1) F.relu (.sum :dim -1))))
  (assert (= (sources rows) ["(.sum (F.relu (ncut q : -1)) :dim -1)"
                             "(F.relu (ncut q : -1))"
                             "(get q #((slice None None) -1))"]))
  (assert (= (list value.shape) [2]))
  (setv [rows value] (traced (->> (range 4) (map seen) list)))
  (assert (= value [0 1 2 3]))
  (assert (= (cut (sources rows) 2) ["(list (map seen (range 4)))" "(map seen (range 4))"]))
  (setv [rows value] (traced (as-> q x (@ x x.mT) (.sum x))))
  (assert (= (sources rows) ["(as-> q x (@ x x.mT) (.sum x))" "(@ x x.mT)" "(.sum x)"]))
  (setv [rows value] (traced (doto [] (.append (seen 1)))))
  (assert (= (sources rows) ["(doto [] (.append (seen 1)))" "(.append f (seen 1))" "(seen 1)"]))
  (assert (= value [1])))

(defn test-names-and-constants-have-a-row-only-alone []
  (setv [rows value] (traced q))
  (assert (is value q))
  (assert (= (sources rows) ["q"]))
  (setv [rows value] (traced f"{(seen 3) :>3}"))
  (assert (= value "  3"))
  (for [[rows value] [(traced 7) (traced :key) (traced "s") (traced q.shape) (traced [])
                      (traced '(f x)) (traced (list '(f x))) (traced (list `(f x)))]]
    (assert (= (len rows) 1))))


;;; Once each, with the form's own value: one form beside the same form traced

(defn once-each [plain traced-pair expected]
  "The traced form gave what the plain one gives, and called `seen` as often, in the same order."
  (assert (= (get traced-pair 1) plain))
  (setv half (// (len calls) 2))
  (assert (= (cut calls half) (cut calls half None) expected))
  (.clear calls))

(defmacro same [form #* expected]
  "FORM plain and traced, and what `seen` is to see each time."
  `(do
     (.clear calls)
     (setv plain ~form)
     (once-each plain (traced ~form) [~@expected])))

(defn test-each-part-runs-once []
  (setv xs [1 2 3]  d {"a" 1})
  (same (+ (seen 1) (* (seen 2) (seen 3)) (- (seen 4))) 1 2 3 4)
  (same (max (seen 1) #* (seen xs) :key (seen abs)) 1 xs abs)
  (same (dict :a (seen 1) #** (seen {"b" 2})) 1 {"b" 2})
  (same [(seen 1) #((seen 2) #{(seen 3)}) {"k" (seen 4)}] 1 2 3 4)
  (same (get (seen xs) (seen 0)) xs 0)
  (same (cut (seen xs) (seen 1) None) xs 1)
  (same (get d "a"))
  (same (.index (seen xs) (seen 2)) xs 2)
  (same (. (seen xs) (index 2)) xs)
  (same (. xs __class__ __name__))
  (same ((seen abs) (seen -1)) abs -1)
  (same ((get [abs] (seen 0)) -1) 0)
  (same (:a (seen d)) d)
  (same (get xs (slice (seen 1) None)) 1)
  (same (seen ':word) ':word)
  (same (seen '(f x)) '(f x))
  (same (not (seen 0)) 0)
  (same (in (seen 2) (seen xs)) 2 xs))

(defn test-what-is-left-out-does-not-run []
  (same (and (seen 0) (seen 1)) 0)
  (same (or (seen 0) (seen 2) (seen 3)) 0 2)
  (same (if (seen 1) (seen 2) (seen 3)) 1 2)
  (same (when (seen 0) (seen 2)) 0)
  (same (unless (seen 0) (seen 2)) 0 2)
  (same (cond (seen 0) (seen 1)  (seen 2) (seen 3)  True (seen 4)) 0 2 3)
  (same (< (seen 1) (seen 0) (seen 5)) 1 0)
  (same (chainc (seen 1) < (seen 2) <= (seen 2)) 1 2 2)
  (setv [rows _] (traced (if (seen 1) (seen 2) (seen 3))))
  (assert (is (get (row-of rows "(seen 3)") "text") None))
  (assert (in "(seen 3)  " (drawn rows)))
  (assert (.endswith (drawn rows) "--")))

(defn test-forms-that-run-things-many-times-or-later-are-one-part []
  (same (lfor  x (range (seen 3))  :if (% x 2)  :setv y (seen x)  (* y y)) 3 1)
  (same (dfor  x (range 2)  (seen x) (seen 5)) 0 5 1 5)
  (same (sum (gfor  x (range 3)  (seen x))) 0 1 2)
  (same (len (sfor  x "aab"  (seen x))) "a" "a" "b")
  (same ((fn [x] (seen (+ x 1))) (seen 2)) 2 3)
  (same (list (map (fn [x] (setv y (seen x)) (* 2 y)) [1 2])) 1 2)
  (same (for [x [1 2]] (seen x)) 1 2)
  (same (try (seen 1) (/ 1 0) (except [ZeroDivisionError] (seen 2)) (finally (seen 3))) 1 2 3)
  (same (match (seen [1 2]) [a 2] (seen a) _ None) [1 2] 1)
  (setv [rows _] (traced (seen (lfor  x (range 3)  (* x (seen x))))))
  (assert (= (sources rows)
             ["(seen (lfor x (range 3) (* x (seen x))))" "(lfor x (range 3) (* x (seen x)))"])))

(defn test-forms-that-bind-names []
  (same (+ (setx n (seen 3)) n (seen 1)) 3 1)
  (assert (= n 3))
  (same (setv a (seen 1)  [b #* c] (seen [2 3])) 1 [2 3])
  (assert (= [a b c] [1 2 [3]]))
  (same (setv))
  (same (setv :chain [a b] (seen 7)) 7)
  (assert (= [a b] [7 7]))
  (same (let [a (seen 1)  b (+ a 1)] (seen (* a b))) 1 2)
  (assert (= a 7))
  (same (with [_ (torch.no-grad)] (seen (torch.is-grad-enabled))) False)
  (same (do (seen 1) (setv z 2) (seen z)) 1 2)
  (traced (defn added [x] (+ x 1)))
  (traced (import math [tau]))
  (assert (= (added 1) 2))
  (assert (> tau 6)))

(defn test-statements-among-arguments-run-as-they-do-without []
  (same (max (seen 2) (try (seen 3) (finally (seen 4)))) 3 4 2)
  (same [(seen 1) (do (setv y (seen 2)) y) (seen 3)] 2 1 3))

(defn test-random-draws-come-in-the-same-order []
  (torch.manual-seed 1)
  (setv plain (+ (torch.randn 2 3) (.bernoulli (torch.rand 2 3)) (F.dropout (torch.randn 3) 0.5)))
  (torch.manual-seed 1)
  (setv [_ value] (traced (+ (torch.randn 2 3) (.bernoulli (torch.rand 2 3))
                             (F.dropout (torch.randn 3) 0.5))))
  (assert (torch.equal plain value)))

(defn test-gradients-flow-through []
  (setv w (torch.ones 3 :requires-grad True)
        [rows loss] (traced (.sum (* w (.detach w) 2))))
  (.backward loss)
  (assert (= (.tolist w.grad) [2 2 2])))

(defn [(settings :max-examples 60 :deadline None)
       (given (st.recursive (st.integers -9 9)
                            (fn [inner]
                              (st.tuples (st.sampled-from (.split "+ - * max if and or do"))
                                         inner inner inner))))]
  test-any-arithmetic-form-keeps-its-value-and-its-calls [tree]
  (defn form-of [tree]
    (if (isinstance tree int)
        `(seen ~tree)
        `(~(hy.models.Symbol (get tree 0)) ~@(map form-of (cut tree 1 None)))))
  (setv form (form-of tree)  plain []  noted [])
  (setv value (hy.eval form {"seen" (fn [x] (.append plain x) x)} :module notation)
        pair (hy.eval `(traced ~form) {"seen" (fn [x] (.append noted x) x)} :module notation))
  (assert (= (get pair 1) value))
  (assert (= plain noted))
  (assert (= (sum (gfor  row (get pair 0)
                         (and (.startswith (get row "source") "(seen")
                              (is-not (get row "text") None))))
             (len noted))))


(setv expansions [])

(defn test-macros-are-expanded-once []
  (setv before (len expansions))
  (hy.eval '(hy.R.nanogpt-hy/notation.traced (+ 1 (counted (abs 2))))
           {} :module notation :macros {"counted" (fn [form] (.append expansions form) form)})
  (assert (= (len expansions) (+ before 1))))


;;; Scopes: inside functions, layers, generators, comprehensions

(defn test-inside-a-function-each-call-has-its-own-rows []
  (defn fact [n]
    (if (= n 0) [] (do (setv [rows value] (traced (fact (- n 1)))) (+ value [(len rows)]))))
  (assert (= (fact 3) [2 2 2])))

(deflayer Probe [n-embd]
  "(B T C) -> (B T C): a layer that shows what it does."
  [inner (nn.Linear n-embd n-embd)]
  (forward [self x]
    (shapes (+ x (F.relu (self.inner x))))))

(defn test-inside-a-layer [capsys]
  (setv out ((Probe 4) q))
  (assert (= (list out.shape) [2 3 4]))
  (setv lines (.splitlines (. capsys (readouterr) out)))
  (assert (= (lfor  line lines  (.strip (cut line 26)))
             ["(+ x (F.relu (self.inner x" "(F.relu (self.inner x))" "(self.inner x)"])))

(defn test-yield-and-await-keep-their-function []
  (defn doubled []
    (setv [rows value] (traced (* 2 (yield 1))))
    (yield [value (sources rows)]))
  (setv it (doubled))
  (assert (= (next it) 1))
  (assert (= (.send it 21) [42 ["(* 2 (yield 1))" "(yield 1)"]]))
  (defn :async slow [x] x)
  (defn :async run [] (get (traced (+ 1 (await (slow 2)))) 1))
  (assert (= (asyncio.run (run)) 3)))

(defn test-return-break-and-generators-closed-early [capsys]
  (defn early [x]
    (shapes (if (seen x) (return "early") (seen 2)))
    "late")
  (assert (= [(early 1) (early 0)] ["early" "late"]))
  (assert (= (len (.splitlines (. capsys (readouterr) out))) 8))
  (for [i (range 5)]
    (traced (if (= i 3) (break) (seen i))))
  (assert (= i 3))
  (defn waiting [] (shapes (+ 1 (yield 1))))
  (setv it (waiting))
  (next it)
  (.close it)
  (assert (= (. capsys (readouterr) out) "")))

(defn test-in-a-comprehension-and-in-a-class []
  (assert (= (lfor  x (range 3)  (get (traced (* x (seen 2))) 1)) [0 2 4]))
  (defclass Box []
    (setv rows (get (traced (+ 1 (seen 2))) 0)))
  (assert (= (len Box.rows) 2)))

(defn test-nested [capsys]
  (assert (= (shapes (+ 1 (shapes (* 2 (seen 3))))) 7))
  (assert (= (. capsys (readouterr) out) #[[
(* 2 (seen 3))  6
  (seen 3)      3
(+ 1 (shapes (* 2 (seen 3))))  7
  (shapes (* 2 (seen 3)))      6
]]))
  (setv [rows [inner value]] (traced (traced (seen 1))))
  (assert (= value 1))
  (assert (= (sources rows) ["(traced (seen 1))"])))


;;; Errors

(defn guilty [error]
  "The source of the row marked in the tree that ERROR carries."
  (setv [tree] error.__notes__
        [line] (lfor  line (.splitlines tree)  :if (in " !! " line)  line))
  (.strip (get (.partition line " !! ") 0)))

(defn fail [#* xs]
  (raise (ValueError "no")))

(defn test-the-guilty-part-is-marked-and-the-error-is-the-same [capsys]
  (with [info (pytest.raises RuntimeError :match "Expected size for first two|must match|batch2")]
    (shapes (@ (F.softmax (/ (@ q q) (** 8 0.5)) :dim -1) k)))
  (setv lines (.splitlines (. capsys (readouterr) out)))
  (assert (= (lfor  line lines  (in " !! RuntimeError" line)) [False False False True False]))
  (assert (<= (max (map len lines)) 80))
  (setv frames (traceback.extract-tb info.value.__traceback__))
  (assert (not (any (gfor  frame frames  (.endswith frame.filename "tracing.hy"))))))

(defmacro blamed [form]
  `(do
     (with [info (pytest.raises Exception)] (traced ~form))
     (guilty info.value)))

(defn test-the-guilty-part-wherever-it-stands []
  (assert (= (blamed (+ (seen 1) (fail) (seen 2))) "(fail)"))
  (assert (= (blamed (fail (seen 1) (if 1 (seen 2) 3))) "(fail (seen 1) (if 1 (seen 2) 3))"))
  (assert (= (blamed (max (seen 1) (if (seen 1) (fail) 2))) "(fail)"))
  (assert (= (blamed (max (seen 1) (if q.nothing 1 2))) "(if q.nothing 1 2)"))
  (assert (= (blamed (max (seen 1) (try (fail) (finally None)))) "(try (fail) (finally None))"))
  (assert (= (blamed (max (fail 1) (try (seen 2) (finally None)))) "(fail 1)"))
  (assert (= (blamed (max (seen 1) (lfor  x (range 2)  (fail x)))) "(lfor x (range 2) (fail x))"))
  (assert (= (blamed (sum (gfor  x (range 2)  (fail x)))) "(sum (gfor x (range 2) (fail x)))"))
  (assert (= (blamed ((get [] (seen 0)) (seen 2))) "(get [] (seen 0))"))
  (assert (= (blamed (seen q.nothing)) "(seen q.nothing)"))
  (assert (= (blamed (-> q (ncut : (: 2)) (.view 5 5))) "(.view (ncut q : (: 2)) 5 5)"))
  (assert (= (blamed (with [(torch.no-grad)] (seen 1) (* 2 (fail)))) "(fail)"))
  (assert (= (blamed (raise (ValueError "x"))) "(raise (ValueError \"x\"))"))
  (with [info (pytest.raises ValueError)]
    ((fn [] (traced (do (setv y 1) (return (fail y)))))))
  (assert (= (guilty info.value) "(return (fail y))")))

(defn test-the-traceback-points-at-the-part []
  (try
    (traced (seen (+ 1
                     (fail 2))))
    (except [error ValueError]
      (setv frame (get (traceback.extract-tb error.__traceback__) 0))))
  (assert (= frame.line "(fail 2))))")))


;;; What it costs those who do not use it

(defn test-the-notation-loads-neither-torch-nor-hyrule []
  (setv code (+ "import sys, nanogpt_hy.notation;"
                "print([m for m in ('torch', 'hyrule', 'nanogpt_hy.tracing') if m in sys.modules])")
        out (subprocess.run [sys.executable "-c" code] :capture-output True :text True :check True))
  (assert (= (.strip out.stdout) "[]")))

(defn [(pytest.mark.parametrize #("layer" "words")
         [#('(Mute [n] [part n] (forward [self x] x))       "Mute has no docstring: say")
          #('(Bare [n] "(T) -> (T)" (forward [self x] x))   "Bare: behind its docstring come")
          #('(Half [n] "(T) -> (T)" [a n b])                "Half: its part b has no value")
          #('(Long [n] "(T) -> (T)" [a n] (defn forward [self x] x))
            r"Long: its methods are written without defn, as \(forward")])]
    test-what-is-wrong-with-a-layer-is-told [layer words]
  (with [_ (pytest.raises HyMacroExpansionError :match f"deflayer {words}")]
    (hy.eval `(do (require nanogpt-hy.notation [deflayer])
                  (deflayer ~@layer)))))
