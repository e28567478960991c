"Every lesson is held, without a learner: what it says of values and answers is true, and its
exercise is passed by its solution and by nothing that is wrong."

(eval-when-compile
  (require nanogpt-hy.notation [deflayer]))
(import  ast
         dataclasses [replace]
         math [log nan]
         pathlib [Path]
         re
         signal
         time
         hy
         hy.compiler [hy-compile]
         pytest
         torch.nn :as nn
         nanogpt-hy.course [attend cross-entropy gpt-body]
         nanogpt-hy.errors [RequestError WorkError]
         nanogpt-hy.lab.lisp.finding [find-piece]
         nanogpt-hy.lab.lisp.hints [glued hint-for infix-in python-in]
         nanogpt-hy.lessons.blocks [agree]
         nanogpt-hy.lessons.exercise [check-file exercise-text the-exercise write-exercise]
         nanogpt-hy.lessons.exercise-checks [EXERCISE-CHECKS]
         nanogpt-hy.lessons.lesson [as-number Code Command find-lesson lesson-paths Question
                                    read-lesson SECTIONS Solution Text]
         nanogpt-hy.lessons.page [narrow]
         nanogpt-hy.lessons.session [Session])

(setv LESSONS (lfor  path (lesson-paths)  (read-lesson path))
      WIDTH   80
      PATIENCE 40)                   ; seconds that a lesson may compute, on two busy cores

(setv each-lesson (pytest.mark.parametrize "lesson" LESSONS :ids (fn [l] l.name)))

(defn [(pytest.fixture :autouse True)] own-progress [tmp-path monkeypatch]
  "No test touches the user's own progress."
  (.setenv monkeypatch "NANOGPT_HY_HOME" (str (/ tmp-path "home"))))


;;; How they are written

(defn test-there-is-one-for-each-step-and-four-more []
  (assert (= (lfor  lesson LESSONS  lesson.number) (list (range 1 17))))
  (setv steps (sorted (.glob (/ (. (Path (get (lesson-paths) 0)) parent parent) "course") "s*.hy")))
  (assert (= (lfor  step steps  (cut step.stem 4 None))
             (lfor  path (cut (lesson-paths) 12)  (cut path.stem 4 None)))))

(defn [each-lesson] test-form [lesson]
  (assert (= (list lesson.sections) SECTIONS))
  (assert (<= 1 (len (lfor  part (get lesson.sections "Predict")
                            :if (isinstance part Question) part)) 3))
  (for [section ["Run" "Look" "Make"]]
    (assert (any (gfor  part (get lesson.sections section)  (isinstance part Code))) section))
  (assert (any (gfor  part (get lesson.sections "Look")  (isinstance part Question))))
  (assert (= (len (.all-of lesson Solution)) 1))
  (when (<= lesson.number 13)
    (setv shown (.join "\n" (gfor  c (.all-of lesson Command)  c.text)))
    (assert (re.search r"^nanogpt-hy show \S+$" shown re.MULTILINE) "the source")
    (assert (re.search r"^nanogpt-hy show \S+ --python$" shown re.MULTILINE) "its Python twin"))
  (assert (= (.count (. (the-exercise lesson) text) "(hole ") 1))
  (assert (<= (len lesson.title) 36)))

(defn [each-lesson] test-every-line-is-narrow-and-ascii [lesson]
  (setv text (re.sub r"<!--.*?-->" "" (.read-text lesson.path :encoding "utf-8") :flags re.DOTALL))
  (for [[n line] (enumerate (.splitlines text) 1)]
    (assert (<= (len line) WIDTH) f"line {n}")
    (assert (= line (.rstrip line)) f"line {n}"))
  (assert (.isascii text))
  (assert (not-in "<!--" (.join "" (gfor  part (.all-of lesson Text)  part.text)))))

(defn [each-lesson] test-no-code-of-ours-has-to-be-broken [lesson]
  (for [code [#* (.all-of lesson Code) (the-exercise lesson)]]
    (assert (= (narrow code.text (- WIDTH 2)) code.text))))

(defn [each-lesson] test-questions-can-be-answered [lesson]
  (for [question (.all-of lesson Question)]
    (assert (if question.choices
                (in question.answer question.choices)
                (is-not (as-number question.answer) None)))
    (assert (> (len question.reason) 60) "a reason")))

(defn [each-lesson] test-links-and-shown-pieces-exist [lesson]
  (for [target (re.findall r"\]\(([^)]+)\)" (.read-text lesson.path :encoding "utf-8"))]
    (assert (or (.startswith target "http") (.exists (/ lesson.path.parent target))) target))
  (for [command (.all-of lesson Command)
        name (re.findall r"^nanogpt-hy show (\S+)" command.text re.MULTILINE)]
    (find-piece name)))

(defn [each-lesson] test-no-word-of-a-paragraph-is-lost [lesson]
  "An address, <https://…>, may begin a line; other markup is not shown."
  (setv said (.join "\n" (gfor  part (.all-of lesson Text)  part.text)))
  (for [address (re.findall r"<https?://[^>]+>" (.read-text lesson.path :encoding "utf-8"))]
    (assert (in address said))))

(defn test-the-table-of-hy-and-python-is-true []
  "Lesson 1 has it; Hy's own compiler says the same of each row."
  (setv [table] (lfor  part (. (get LESSONS 0) intro)
                       :if (.startswith part.text "    (f x y)")
                       part.text))
  (for [row (.splitlines table)]
    (setv [form python] (map str.strip [(cut row 33) (cut row 33 None)])
          macros (if (re.match r"\((->|ncut) " form) "(require hyrule [-> ncut]) " "")
          made   (hy-compile (hy.read-many (+ macros form)) "__main__"))
    (assert (= (.replace (re.sub r"None(?=:)|:None(?=\])" "" (ast.unparse (get made.body -1)))
                         "slice(None, None)" ":")
               (ast.unparse (ast.parse python))))))


;;; What they say

(defn computed-answer [question module]
  "What a question's check computes."
  (hy.eval (hy.read question.check) (vars module) :module module))

(defn [each-lesson (pytest.mark.slow)] test-held-without-a-learner [lesson capsys]
  "The whole lesson runs; each value is what it says, and each answer what can be computed."
  (setv session (Session lesson)
        started (time.process-time))
  (.hold session)
  (setv seconds (- (time.process-time) started)
        shown   (. (.readouterr capsys) out))
  (assert (< seconds PATIENCE))
  (assert (not-in "\x1b" shown))
  (for [line (.splitlines shown)]
    (assert (<= (len line) WIDTH) line))
  (for [[step text] session.values]
    (assert (agree step.claim text) f"{step.text}\nsays {step.claim}\nand is {text}"))
  (assert (>= (len session.values) 1))
  (for [question (.all-of lesson Question)]
    (assert (in (get (.split question.reason) 0) shown))
    (when question.check
      (setv value (computed-answer question session.module))
      (assert (if question.choices
                  (= value question.answer)
                  (<= (abs (- (float value) (as-number question.answer)))
                      (+ question.within 1e-4)))
              f"{question.text} says {question.answer}, computed: {value}"))))

(defn test-most-answers-are-computed []
  (setv questions (lfor  lesson LESSONS  q (.all-of lesson Question)  q))
  (assert (> (len questions) 55))
  (assert (> (len (lfor  q questions  :if q.check  q)) (* 0.7 (len questions)))))


;;; The exercises

(defn filled [lesson answer tmp-path]
  "-> the path of LESSON's exercise with ANSWER in its hole."
  (setv text (exercise-text lesson "mine.hy")
        hole (get (re.search r"\(hole \"[^\"]*\"\)" text) 0)
        path (/ tmp-path "mine.hy"))
  (.write-text path (.replace text hole answer) :encoding "utf-8")
  path)

(defn [each-lesson] test-the-solution-passes [lesson tmp-path]
  (assert (= (check-file lesson (filled lesson (. (get (.all-of lesson Solution) 0) text) tmp-path))
             (. (the-exercise lesson) piece))))

(defn [each-lesson] test-the-hole-as-it-is-fails [lesson tmp-path]
  (setv path (write-exercise lesson (/ tmp-path "mine.hy"))
        words (get (re.search r"\(hole \"([^\"]*)\"\)" (. (the-exercise lesson) text)) 1))
  (with [failed (pytest.raises WorkError)]
    (check-file lesson path))
  (setv said (str failed.value)
        line (+ 1 (.index (lfor  l (.splitlines (.read-text path))  (in "(hole " l)) True)))
  (assert (in f"mine.hy, line {line}: the hole is still there" said))
  (assert (in words said)))

;; lesson, what is written into the hole, words of what is to be said of it
(setv WRONG [
  ["tokens" "(list (dict.fromkeys text))" "sorted"]
  ["tokens" "(sorted text)" "distinct"]
  ["tokens" "(set text)" "sorted order"]
  ["tokens" "(list \"abcdefghijklmnopqrstuvwxyz\")" "distinct"]
  ["tokens" "(sorted (set (.lower text)))" "distinct"]
  ["batches" "[(get ids places) (get ids places)]" "nothing to guess"]
  ["batches" "[(get ids places) (get ids (- places 1))]" "backwards"]
  ["batches" "[(get ids places) (get ids (+ places 2))]" "IndexError|right after"]
  ["batches" "[(get ids places) (get ids (% (+ places 1) 39))]" "right after"]
  ["batches" "[(get ids places) (ncut (get ids places) : 1:)]" "every place has a target"]
  ["batches" "(get ids places)" "no list of two"]
  ["bigram" "(- (.sum given))" "should lose ln 65"]
  ["bigram" "(.mean given)" "should lose ln 65"]
  ["bigram" "(- (.mean (.exp given)))" "should lose"]
  ["bigram" "(- (.mean given :dim 0))" "has the shape"]
  ["bigram" "(- (.mean (cut given 1)))" "not the mean"]
  ["bigram" "(.item (- (.mean given)))" "is no tensor, but of type float"]
  ["bigram" "(setv loss (- (.mean given)))" "is None: .* last form gives"]
  ["generate" "ids" "crop the context"]
  ["generate" "(ncut ids : -8:)" "with block-size 4 the model was shown"]
  ["generate" "(ncut ids : (: 4))" "not shown the last tokens"]
  ["generate" "(ncut ids : -1:)" "not shown the last tokens"]
  ["generate" "(ncut ids : (: (max 0 (- (get ids.shape 1) block-size)) None))" "0 means no limit"]
  ["generate" "(ncut ids : (: (- (max 1 block-size)) None))" "1 of 3 tokens: 0 means no limit"]
  ["generate" "(if block-size (ncut ids : (: (- block-size) None)) (ncut ids : -3:))"
              "3 of 4 tokens: 0 means no limit"]
  ["generate" "(ncut ids : -4:)" "with block-size 2 the model was shown 3 tokens"]
  ["train" "(sum losses)" "mean over the batches"]
  ["train" "(get losses 0)" "three thirds"]
  ["train" "(/ (+ (get losses 0) (get losses -1)) 2)" "three thirds"]
  ["train" "(/ (sum losses) 2)" "was given"]
  ["train" "(.detach (/ (sum losses) (len losses)))" "RuntimeError"]
  ["average" "ones" "does not hold the average"]
  ["average" "(/ ones (.sum ones))" "does not hold the average"]
  ["average" "(/ ones (.sum ones :dim 0 :keepdim True))" "does not hold the average"]
  ["average" "(.softmax ones :dim 1)" "changes when a later"]
  ["embed" "(self.token ids)" "positions are missing"]
  ["embed" "(self.position places)" "has the shape"]
  ["embed" "(* (self.token ids) (self.position places))" "depends on the row or the token"]
  ["embed" "(+ (self.token ids) (.unsqueeze (self.position (torch.arange (get ids.shape 0))) 1))"
           "along the batch"]
  ["embed" "(+ (self.token ids) (self.position (.flip places 0)))" "in a shorter text"]
  ["embed" "(- (self.token ids) (self.position places))" "those two and nothing else"]
  ["embed" "(+ (self.token ids) (.unsqueeze places 1))" "those two and nothing else"]
  ["head" "(@ q (.transpose k -2 -1))" "should be 1: divide"]
  ["head" "(/ (@ q (.transpose k -2 -1)) D)" "should be 1: divide"]
  ["head" "(/ (@ q (.transpose k -2 -1)) 8)" "should be 1: divide"]
  ["head" "(/ (@ k (.transpose q -2 -1)) (sqrt D))" "instead of"]
  ["head" "(@ q k)" "the last two axes"]
  ["head" "(/ (@ q (.transpose k 1 2)) (sqrt D))" "count axes from the end"]
  ["head" "(@ q k.T)" "the last two axes"]
  ["head" "(* (@ q (.transpose k -2 -1)) (sqrt D))" "multiplied by the root"]
  ["head" "(F.softmax (/ (@ q (.transpose k -2 -1)) (sqrt D)) :dim -1)" "softmax comes twice"]
  ["heads" "(.reshape x B n-head T (// C n-head))" "one by one"]
  ["heads" "(.permute (.view x B T (// C n-head) n-head) 0 3 1 2)" "one by one"]
  ["heads" "(.view x B T n-head (// C n-head))" r"split-up .* has the shape \(2, 5, 2, 3\)"]
  ["feed-forward" "(self.narrow (self.widen x))" "it is linear"]
  ["feed-forward" "(self.drop (self.narrow (F.relu (self.widen x))))" "dropped twice"]
  ["feed-forward" "(F.relu (self.narrow (self.widen x)))" "bend stands between"]
  ["feed-forward" "(+ x (self.narrow (F.relu (self.widen x))))" "nothing is added"]
  ["feed-forward" "(self.narrow (F.relu (self.widen (- x (.mean x :dim 1 :keepdim True)))))"
                  "changes another place"]
  ["block" "(PreNorm n-embd (MultiHeadAttention n-embd n-head :dropout dropout))" "let x through"]
  ["block" "(Residual (MultiHeadAttention n-embd n-head :dropout dropout))" "give it x normed"]
  ["block" "(Residual (PreNorm n-embd (MultiHeadAttention n-embd n-head)))" "three places"]
  ["block" (+ "(Residual (PreNorm n-embd (nn.Sequential (MultiHeadAttention n-embd n-head :dropout "
              "dropout) (nn.Dropout dropout))))")
           "at 4 places instead of three"]
  ["block" "(Residual (PreNorm n-embd (FeedForward n-embd :dropout dropout)))" "all of its past"]
  ["block" "(PreNorm n-embd (Residual (MultiHeadAttention n-embd n-head)))" "let x through"]
  ["block" "(Residual (PreNorm n-embd (MultiHeadAttention n-embd 1 :dropout dropout)))"
           "has 1 heads, and n-head is 4"]
  ["block" "(Residual (PreNorm n-embd (MultiHeadAttention n-head n-embd :dropout dropout)))"
           "has 8 heads, and n-head is 1"]
  ["block" (+ "(Residual (PreNorm n-embd (Residual (MultiHeadAttention n-embd n-head "
              ":dropout dropout))))")
           "not what attention makes of x normed"]
  ["block" (+ "(Residual (nn.Sequential (PreNorm n-embd (MultiHeadAttention n-embd n-head "
              ":dropout dropout)) (nn.LayerNorm n-embd)))")
           "not what attention makes of x normed"]
  ["gpt" "(Block c.n-embd c.n-head :dropout c.dropout)" "weights, and this shape"]
  ["gpt" "(stack c.n-layer (fn [] (Block c.n-embd c.n-head)))" "dropout does nothing"]
  ["gpt" "(stack c.n-layer (fn [] (Block c.n-embd c.n-head :dropout 0.2)))" "called twice"]
  ["gpt" "(nn.Sequential #* (* [(Block c.n-embd c.n-head :dropout c.dropout)] c.n-layer))"
         "weights, and this shape"]
  ["gpt" "(stack c.n-head (fn [] (Block c.n-embd c.n-layer :dropout c.dropout)))"
         "all three numbers come from c"]
  ["gpt" "(stack 2 (fn [] (Block c.n-embd c.n-head :dropout c.dropout)))" "n-layer 1"]
  ["gpt" "(stack c.n-layer (fn [] (Block 8 c.n-head :dropout c.dropout)))" "n-embd 12"]
  ["gpt" "(stack c.n-layer (fn [] (Block c.n-embd 2 :dropout c.dropout)))"
         "has 2 heads, and n-head is 4"]
  ["paper" "(attend (self.query memory) (self.key x) (self.value x))" "has the shape"]
  ["paper" "(attend (self.query x) (self.key x) (self.value x))" "makes no difference"]
  ["paper" "(attend (self.query x) (self.key memory) (self.value x))" "both come from memory"]
  ["paper" (+ "(attend (self.query x) (self.key memory) (self.value memory) :mask "
              "(.tril (.bool (.new-ones x (get x.shape 1) (get memory.shape 1)))))")
           "order of memory"]
  ["paper" "(attend (* 0 (self.query x)) (self.key memory) (self.value memory))"
           "what x asks makes no difference"]
  ["paper" (+ "(do (setv memory (.narrow memory 1 1 3)) "
              "(attend (self.query x) (self.key memory) (self.value memory)))")
           "cannot see place 0 of memory"]
  ["paper" (+ "(+ (.sum (self.query x) :dim 1 :keepdim True) "
              "(attend (self.query x) (self.key memory) (self.value memory)))")
           "each asks memory for itself"]
  ["paper" "(attend (self.query x) (self.key x) (self.value memory))" "both come from memory"]
  ["paper" "(attend (* 2 (self.query x)) (self.key memory) (self.value memory))"
           "divided by the root"]
  ["paper" "(+ x (attend (self.query x) (self.key memory) (self.value memory)))"
           r"line \d+: RuntimeError: The size of tensor a \(8\)"]
  ["tuning" "[model.embed]" "learned too"]
  ["tuning" "[model]" "nothing is left"]
  ["tuning" "[model.body model.lm-head]" "learned too"]
  ["tuning" "[model.embed model.bodi]" "AttributeError"]
  ["ladder" "(MultiHeadAttention c.n-embd c.n-head)" "of the gradient|let x through"]
  ["ladder" "(Residual (FeedForward c.n-embd))" "all of its past"]
  ["ladder" "(Residual (MultiHeadAttention c.n-embd 1))" "has 1 heads, and n-head is 2"]
  ["ladder" "(Residual (fn [x] ((MultiHeadAttention c.n-embd c.n-head) x)))" "called twice"]
  ["ladder" "(Residual (Residual (MultiHeadAttention c.n-embd c.n-head)))" "let x through"]
  ["handmade" "[0.01 (* 0.99 stay) (* 0.99 (- 1 stay))]" "looks like probabilities"]
  ["handmade" "[0 stay (- 1 stay)]" "looks like probabilities"]
  ["handmade" "[0.1 stay (- 1 stay)]" "looks like probabilities"]
  ["handmade" "[NEVER (log stay) (log (- 1 stay))]" "a line ends some time"]
  ["handmade" "[1 (* 99 stay) (* 99 (- 1 stay))]" "with stay 0.25"]
  ["handmade" "[(log 0.01) (* 0.99 (log stay)) (* 0.99 (log (- 1 stay)))]" "and 0.2521 is"]
  ["handmade" "[(log 0.01) (log 0.5) (log 0.5)]" "with stay 0.25"]
  ["handmade" "[(log 0.01) (log (- 1 stay)) (log stay)]"
              "with stay 0.25.* 0.25 should .* 0.75 is"]])

(defn [(pytest.mark.parametrize #("name" "answer" "words")
         (lfor  [i [name answer words]] (enumerate WRONG)
                (pytest.param name answer words :id f"{name}-{i}")))]
      test-wrong-answers-are-told-why [name answer words tmp-path]
  (setv lesson (find-lesson name))
  (with [failed (pytest.raises WorkError :match words)]
    (check-file lesson (filled lesson answer tmp-path)))
  (assert (not-in "\n" (str failed.value))))

(defn [(pytest.mark.parametrize "order" [["zero-grad" "backward" "step"]
                                        ["backward" "step" "zero-grad"]])]
      test-gradients-may-be-emptied-before-or-after-a-step [order]
  (defn train-step [model optimizer #* batches]
    (setv loss (/ (sum (lfor  [x y] batches  (cross-entropy (model x) y))) (len batches)))
    (for [name order]
      ((getattr (if (= name "backward") loss optimizer) (hy.mangle name))))
    (.detach loss))
  ((get EXERCISE-CHECKS "train-step") train-step))

(defn keeps-all [model optimizer #* batches]
  "A train-step that gives a loss from which gradients could still be computed."
  (.zero-grad optimizer)
  (setv loss (/ (sum (lfor  [x y] batches  (cross-entropy (model x) y))) (len batches)))
  (.backward loss)
  (.step optimizer)
  loss)

(deflayer OtherNames [n-embd head-size]
  "(B T C) (B S C) -> (B T D): cross-attention whose parts nobody can find."
  [k (nn.Linear n-embd head-size)
   q (nn.Linear n-embd head-size)
   v (nn.Linear n-embd head-size)]
  (forward [self x memory]
    (attend (self.q x) (self.k memory) (self.v memory))))

(deflayer BentCross [n-embd head-size]
  "(B T C) (B S C) -> (B T D): keys that are more than a linear layer makes."
  [key   (nn.Sequential (nn.Linear n-embd head-size) (nn.Tanh))
   query (nn.Linear n-embd head-size)
   value (nn.Linear n-embd head-size)]
  (forward [self x memory]
    (attend (self.query x) (self.key memory) (self.value memory))))

(defn freeze-too-much [model]
  (for [[name p] (.named-parameters model)]
    (setv p.requires-grad (= name "lm_head.weight"))))

(defn right-table [stay]
  [[-99 0 0]
   [(log 0.01) (log (* 0.99 stay)) (log (* 0.99 (- 1 stay)))]
   [0 -99 0]])

(defn table-with [row values]
  "An ab-table that is right but for the VALUES of one ROW."
  (fn [stay] (lfor  [i right] (enumerate (right-table stay))  (if (= i row) values right))))

(defn [(pytest.mark.parametrize #("piece" "form" "words") [
        #("many-heads" (fn [q k v n-head] q.mT) "together has the shape")
        #("CrossAttention" BentCross "are linear layers")
        #("CrossAttention" OtherNames "parts with these names")
        #("train-step" keeps-all "still holds what it was computed from")
        #("freeze" freeze-too-much "lm-head.bias did not learn")
        #("deep-body" (fn [c] (gpt-body (replace c :n-layer 3))) "does n-layer count")
        #("ab-table" (fn [stay] (cut (right-table stay) 2)) "the table has the shape")
        #("ab-table" (table-with 1 [0 nan 0]) "holds NaN")
        #("ab-table" (table-with 0 [0 0 0]) "not another newline")
        #("ab-table" (table-with 0 [-99 0 1]) "half of the time")
        #("ab-table" (table-with 2 [0 0 0]) "never followed by an a")])]
      test-what-stands-around-the-hole-is-checked-too [piece form words]
  (with [_ (pytest.raises WorkError :match words)]
    ((get EXERCISE-CHECKS piece) form)))

;; lesson, what is written into the hole and is right too
(defn [(pytest.mark.parametrize #("name" "answer") [
        #("generate" "(if (> block-size 0) (ncut ids : (: (- block-size) None)) ids)")
        #("generate" "(torch.stack (lfor  row ids  (cut row (- block-size) None)))")
        #("train" "(.mean (torch.stack losses))")
        #("train" "(sum (lfor  loss losses  (/ loss (len batches))))")
        #("head" "(* (@ q k.mT) (** D -0.5))")
        #("head" "(@ (/ q (** D 0.25)) (.transpose (/ k (** D 0.25)) -1 -2))")
        #("paper" "(attend :v (self.value memory) :k (self.key memory) :q (self.query x))")
        #("handmade" "[-5 (- (log (- (/ 1 stay) 1))) 0]")
        #("handmade" "[(log 1e-7) (log stay) (log (- 1 stay))]")])]
      test-there-is-more-than-one-solution [name answer tmp-path]
  (setv lesson (find-lesson name))
  (assert (= (check-file lesson (filled lesson answer tmp-path)) (. (the-exercise lesson) piece))))

(defn test-each-exercise-has-three-wrong-answers []
  (for [lesson LESSONS]
    (assert (>= (len (lfor  [name #* _] WRONG  :if (= name lesson.name)  name)) 3) lesson.name)))

(defn [(pytest.mark.parametrize #("text" "words") [
        #("(defn windows [ids starts" "cannot be read as Hy.*not closed")
        #("(setv x 1))" "line 1 cannot be read as Hy")
        #("" "defines nothing of that name")
        #("(setv windows 3)" "calling windows failed: TypeError")
        #("(defn windows [ids] ids)" "calling windows failed: TypeError")
        #("\n\n(/ 1 0)" "line 3: ZeroDivisionError")
        #("(import sys) (sys.exit 0)" "SystemExit")
        #("(defn windows [a b c] (windows a b c))" "RecursionError")
        #("(import no-such-thing)" "line 1: ModuleNotFoundError")])]
      test-files-that-cannot-be-checked [text words tmp-path]
  (setv path (/ tmp-path "mine.hy"))
  (.write-text path text)
  (with [failed (pytest.raises WorkError :match words)]
    (check-file (find-lesson 2) path))
  (assert (not-in "\n" (str failed.value))))

;; what is written into the hole of a lesson, what is said of it
(defn [(pytest.mark.parametrize #("name" "answer" "words") [
        #("tokens" "sorted(set(text))" "sorted( is Python: in Hy it is (sorted ...)")
        #("bigram" "-given.mean()" "given.mean( is Python: in Hy it is (.mean given ...)")
        #("generate" "ids[:, -block_size:]"
          "ids[ is Python: in Hy it is (get ids ...) or (cut ids ...)")
        #("head" "(q @ k.transpose(-2, -1) / sqrt(D))"
          "name '@' is not defined; k.transpose( is Python: in Hy it is (.transpose k ...)")
        #("bigram" "(- (mean given))" "of a tensor x it is a method: (.mean x ...), with a dot")
        #("bigram" "- (.mean given)" "in Hy the operator comes first: (- a b)")
        #("batches" "[(get ids places), (get ids places)]" "in Hy blanks divide, not commas")
        #("tokens" "((sorted (set text)))" "there may be a parenthesis too many")
        #("tokens" "(sorted (set TEXT))" "in words TEXT stands for the parameter text")
        #("tokens" "(sorted (set text) :reverse true)" "in Hy it is True")
        #("heads" "(.transpose (.view x #(B T H D)) 1 2)"
          "in words H is the length of an axis, and no name in the code")
        #("heads" "(.transpose (.view x B T n-head (/ C n-head)) 1 2)"
          "a size is a whole number: (// a b) gives one, (/ a b) a float")
        #("heads" "(torch.stack (.chunk x n-head :dim -1) :dim 1)" "write (import torch) above")
        #("average" "(F.softmax ones :dim -1)" "write (import torch.nn.functional :as F) above")
        #("heads" "(-> x (.view B T n-head (// C n-head)) (.transpose 1 2))"
          "-> is a macro: write (require hyrule [->]) above")
        #("head" "(/ (@ q (transpose k -2 -1)) (sqrt D))"
          "of a tensor x it is a method: (.transpose x ...), with a dot")
        #("feed-forward" "(narrow (F.relu (widen x)))" "a part of the layer is self.narrow")
        #("paper" "(attend (query x) (self.key memory) (self.value memory))"
          "a part of the layer is self.query")
        #("gpt" "(stack c.n-layer (Block c.n-embd c.n-head))"
          "where a function is wanted that makes layers, write (fn [] (Block ...))")
        #("tuning" "[embed body]" "a part of the model is model.embed")
        #("tuning" "[model.embed, model.body]" "in Hy blanks divide, not commas")
        #("tuning" "(model.embed model.body)" "(f x) calls f, and a list is [a b]")
        #("ladder" "(+ x (MultiHeadAttention c.n-embd c.n-head))"
          "a layer is made first, and called with x later")
        #("embed" "(+ (self.token ids) (self.position ids))"
          "an embedding was asked for a row that it does not have")
        #("bigram" "(.mean -given)" "the minus is an operator: (- given)")
        #("generate" "(ncut ids : (: (- block-size)))"
          "nothing is left of that tensor: what was cut away before?")
        #("generate" "(ncut ids : (- block-size):)" "in Hy x[:, a:] is (ncut x : (: a None))")
        #("generate" "(get ids #(: (- block-size)))" "in Hy x[:, a:] is (ncut x : (: a None))")
        #("head" "(/ (@ q (.transpose k -2 -1)) (sqrt d))" "large and small letters differ: D")
        #("train" "(sum losses) / (len losses)"
          "/ is set like a variable: in Hy the operator comes first: (/ a b)")
        #("train" "(.mean losses)"
          "(sum x) and (len x) take lists, and (torch.stack x) makes one tensor of many")
        #("train" "(.mean (torch.tensor losses))"
          "they keep the number and forget how it was computed")
        #("train" "(.item (get losses 0))"
          ".item has taken the number out of its tensor: leave it in")
        #("head" "(/ (@ q (.transpose k -2 -1)) (.sqrt D))" "of a number x it is (sqrt x)")
        #("head" "(/ (@ q (.transpose k -2 -1)) sqrt D)"
          "a function is called in parentheses of its own: (f x)")
        #("head" "(sqrt (/ (@ q (.transpose k -2 -1)) D))" "of a tensor x it is (.sqrt x)")
        #("head" "(/ (@ q (.transpose k -2 -1)) (math.sqrt D))" "write (import math) above")
        #("block" "(Residual (PreNorm n-embd (MultiHeadAttention n-embd n-head dropout)))"
          "what stands behind a * in the parameters is given by name, as :dropout p")
        #("block" "(Residual (PreNorm n-embd (MultiHeadAttention n-embd n-head dropout=dropout)))"
          "in Hy it is :dropout dropout")
        #("tuning" "[\"embed\" \"body\"]" "what stands in quotes is text: a name has none")
        #("handmade" "[(log 1/100) (log stay) (log 1-stay)]"
          "in Hy the operator comes first: (/ 1 100)")
        #("handmade" "[0.01, 0.99*stay, 0.99*(1-stay)]"
          "in Hy the operator comes first: (* 0.99 stay)")
        #("handmade" "[(log 0) (log stay) (log (- 1 stay))]"
          "0 has no logarithm, and what is below 0 no root either")
        #("handmade" "[(- inf) (log stay) (log (- 1 stay))]" "write (import math [inf]) above")
        #("handmade" "[-5 (torch.log stay) (torch.log (- 1 stay))]" "of a number x it is (log x)")
        #("handmade" "(log 0.01) (log stay) (log (- 1 stay))"
          "the rows of a tensor are lists of numbers, [a b c]")
        #("train" "(sum losses) (len losses)" "a name has no value: setv takes them in pairs")
        #("train" "(torch.mean losses)" "and (torch.stack x) makes one tensor of many")
        #("train" "(/ (sum losses) (len x))" "only within its (lfor ...) x has a value")
        #("train" "(setv loss (/ (sum losses) (len losses)))"
          "it is None, which is what setv gives, and a function with no last value")
        #("embed" "(self.token(ids) + self.position(places))"
          "self.token( is Python: in Hy it is (.token self ...)")])]
      test-slips-in-the-hole [name answer words tmp-path]
  (with [failed (pytest.raises WorkError)]
    (check-file (find-lesson name) (filled (find-lesson name) answer tmp-path)))
  (assert (.endswith (str failed.value) words)))

(defn test-hints []
  (assert (in "before it is used" (hint-for (UnboundLocalError "q") "")))
  (for [name ["x" "embed" "B"]]                ; in the REPL there is no layer and no parameter
    (assert (is None (hint-for (NameError "" :name name) ""))))
  (assert (is None (hint-for (NameError "said by hand") "")))
  (assert (in "x.shape" (hint-for (NameError "" :name "shape") "(get shape 1)")))
  (assert (is None (python-in "(setv f (fn[x] (+ x 1))) (defn g[x] (cond(> x 1) x))")))
  (for [[name words] [["nil" "None"] ["lambda" "(fn [x] ...)"]
                      ["and" "(and a b)"] ["+=" "(+= a b)"]
                      ["==" "(= a b)"]]]
    (assert (.endswith (hint-for (NameError "" :name (hy.mangle name)) "") words)))
  (assert (in "f( is Python" (python-in "(setv y f(x))")))
  (for [[text words] [["def f(x): return x" "(defn f [x] ...)"] ["x = 3" "(setv x ...)"]
                      ["torch.zeros(3)" "(torch.zeros ...)"] ["t.sum(0)" "(.sum t ...)"]]]
    (assert (.endswith (python-in text) words)))
  (for [text ["x" "(= x 3)" "(if x y z)" "x == 3" "(f #[=[g(x)\n]=] #[[x[0]]])" "\"f(x)\" ; f(x)"]]
    (assert (is None (python-in text))))
  (assert (in "lfor" (hint-for (NameError "" :name "x") "(lfor  [x y] pairs  (+ x y))")))
  (for [words ["logit(): argument 'input' (position 1) must be Tensor, not float" "no such thing"]]
    (assert (is None (hint-for (TypeError words) ""))))
  (for [name ["->" "-" "n-embd" "x.shape" "x==3" "1,000"]]
    (assert (is None (glued name))))
  (for [[name words] [["n-head*2" "(* n-head 2)"] ["1-stay" "(- 1 stay)"]
                      ["-n-embd:" "(- n-embd)"]]]
    (assert (.endswith (glued name) words)))
  (assert (in "(/ a b)" (infix-in "(defn f [x] [(setv y x  z (sum x) / 2)])")))
  (assert (is None (infix-in "(setv y (/ x 2)  [a b] c)")))
  (assert (is None (hint-for (AttributeError "'int' object has no attribute 'backward'") ""))))

(defn test-a-block-may-add-by-itself [tmp-path]
  "Not every right one is made of Residuals."
  (setv path (/ tmp-path "mine.hy"))
  (.write-text path "
(require nanogpt-hy.notation [deflayer])
(import torch.nn :as nn  nanogpt-hy.course [FeedForward MultiHeadAttention])
(deflayer Block [n h * [dropout 0.0]]
  \"(B T C) -> (B T C)\"
  [n1    (nn.LayerNorm n)
   n2    (nn.LayerNorm n)
   talk  (MultiHeadAttention n h :dropout dropout)
   think (FeedForward n :dropout dropout)]
  (forward [self x]
    (setv x (+ x (self.talk (self.n1 x))))
    (+ x (self.think (self.n2 x)))))")
  (assert (= "Block" (check-file (find-lesson 11) path))))

(defn test-a-loop-for-ever-ends [tmp-path monkeypatch]
  (.setattr monkeypatch "nanogpt_hy.lessons.exercise.PATIENCE" 1)
  (setv path (/ tmp-path "mine.hy"))
  (.write-text path "(while True\n  None)")
  (setv before (signal.getsignal signal.SIGALRM))
  (with [_ (pytest.raises WorkError :match "line 1: TimeoutError.*1 seconds|line 2: TimeoutError")]
    (check-file (find-lesson 2) path))
  (assert (= before (signal.getsignal signal.SIGALRM))))

(defn test-who-interrupts-a-check-is-told-no-fault [tmp-path]
  (setv path (/ tmp-path "mine.hy"))
  (.write-text path "(raise KeyboardInterrupt)")
  (with [_ (pytest.raises KeyboardInterrupt)]
    (check-file (find-lesson 2) path))
  (assert (= 0 (signal.alarm 0)) "no alarm is left to go off later"))

(defn test-a-missing-file-is-a-wrong-request [tmp-path]
  (with [_ (pytest.raises RequestError :match "no file")]
    (check-file (find-lesson 2) (/ tmp-path "none.hy"))))

(defn test-an-exercise-replaces-nothing [tmp-path monkeypatch]
  (.chdir monkeypatch tmp-path)
  (setv path (write-exercise (find-lesson 8) ""))
  (assert (= (str path) "lesson-08-head.hy"))
  (.write-text path "mine")
  (with [_ (pytest.raises RequestError :match "may hold your work")]
    (write-exercise (find-lesson 8) ""))
  (assert (= (.read-text path) "mine"))
  (with [_ (pytest.raises RequestError :match "no folder")]
    (write-exercise (find-lesson 8) (/ tmp-path "none" "x.hy")))
  (setv path (/ tmp-path "link.hy"))
  (.symlink-to path (/ tmp-path "elsewhere.hy"))                 ; a link that leads nowhere yet
  (with [_ (pytest.raises RequestError :match "may hold your work")]
    (write-exercise (find-lesson 8) path)))

(defn test-an-exercise-is-told-without-markdown []
  (setv lesson (find-lesson 8)
        told   [(Text "see [a b](c.md), **now**") #* (get lesson.sections "Change")]
        marked (replace lesson :sections {#** lesson.sections  "Change" told}))
  (assert (in ";; see a b, now\n" (exercise-text marked "mine.hy"))))

(defn test-a-lesson-has-many-names []
  (for [which [8 "8" "08" "s08" "head" " Head " "S08"]]
    (assert (= 8 (. (find-lesson which) number))))
  (for [which ["self" "SELF-ATT"]]                               ; words of its title
    (with [_ (pytest.raises RequestError :match "did you mean head")]
      (find-lesson which))))
