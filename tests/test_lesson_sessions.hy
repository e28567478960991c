"A lesson as a learner meets it: questions, progress, files, and the command line."

(import  contextlib [redirect-stdout]
         dataclasses [replace]
         io
         math [log]
         os
         re
         select
         sys
         types [SimpleNamespace]
         pytest
         rich.console [Console]
         subjects [small-run]
         nanogpt-hy.errors [WorkError]
         nanogpt-hy.lab.inside.outlook [next-characters]
         nanogpt-hy.lessons.blocks [agree in-words steps-of]
         nanogpt-hy.lessons.lesson [as-number find-lesson is-right read-lesson
                                    understood]
         nanogpt-hy.lessons.look [bars curve]
         nanogpt-hy.lessons.make [chances written]
         nanogpt-hy.lessons.page [Lines narrow Page plain WIDTH]
         nanogpt-hy.lessons.progress [note-answer note-exercise note-section progress-path
                                      read-progress]
         nanogpt-hy.lessons.run [hold state]
         nanogpt-hy.lessons.session [Leave Session])

(setv SMALL "# Lesson 3: A small one

An introduction with a [link](there.md) and **words**.

## Predict

**Question.** Which comes first?

- a) the egg
- b) the hen, which is
  a bird

<details><summary>Answer</summary>

**b.** Because somebody has to lay it.
<!-- (if True \"b\" \"a\") -->

</details>

**Question.** How much is a half?

<details><summary>Answer</summary>

**0.5** (within 0.1). More or less, as the case may be.

</details>

## Run

```hy
(setv x 2)     ; two
;; and then
(+ x 1)
; => 3
[[x 1.0] [(/ 1 3) 2]]
; => [[2 1.0]
;     [0.3333 2]]
```
")

(defn [(pytest.fixture :autouse True)] home [tmp-path monkeypatch]
  (setv folder (/ tmp-path "home"))
  (.setenv monkeypatch "NANOGPT_HY_HOME" (str folder))
  folder)

(defn [pytest.fixture] small [tmp-path]
  (setv path (/ tmp-path "s03_small.md"))
  (.write-text path SMALL)
  (read-lesson path))

(defn typing [#* lines]
  "A reader that types these lines, then ends the input; an exception among them is raised."
  (setv left (list lines))
  (defn read [prompt]
    (when (not left)
      (raise (EOFError)))
    (setv line (.pop left 0))
    (if (isinstance line type) (raise (line)) line))
  read)

(defn went [lesson #* lines]
  "-> what is printed when the learner types LINES."
  (setv out (io.StringIO)
        session (Session lesson :read (typing #* lines) :page (Page out)))
  (try
    (.hold session)
    (except [Leave]
      (.write out "LEFT")))
  (.getvalue out))


;;; Reading a lesson

(defn test-what-a-file-says [small]
  (setv [first second] (get small.sections "Predict"))
  (assert (= [small.number small.name small.title] [3 "small" "A small one"]))
  (assert (= first.choices {"a" "the egg"  "b" "the hen, which is a bird"}))
  (assert (= [first.answer first.reason] ["b" "Because somebody has to lay it."]))
  (assert (= first.check "(if True \"b\" \"a\")"))
  (assert (= [second.answer second.within second.choices] ["0.5" 0.1 {}])))

(defn test-steps-claims-and-remarks [small]
  (setv steps (steps-of (. (get (get small.sections "Run") 0) text)))
  (assert (= (lfor  s steps  s.claim) [None "3" "[[2 1.0] [0.3333 2]]"]))
  (assert (= (. (get steps 0) text) "(setv x 2)     ; two"))
  (assert (= (. (get steps 1) text) ";; and then\n(+ x 1)")))

(defn [(pytest.mark.parametrize #("typed" "number") [
        #("0.25" 0.25) #("0,25" 0.25) #(" 1/4 " 0.25) #("25%" 0.25) #("-3" -3) #("1,000" 1000)
        #("8 tokens" 8) #("about -0.49" -0.49) #("~ ln 3 " (log 3)) #("1 place." 1) #("tokens" None)
        #("8 or 9" None) #("= 0.7 nats" 0.7) #("0.5 of it" None)
        #("10.6 million" 10.6) #("10.6m" 10.6) #("million" None) #("4e2" 400) #("ln 1" 0)
        #("ln(1)" 0) #("ln -2" None) #("ln 0.5" (log 0.5))
        #("-1,000" -1000) #("1,000,000" 1,000,000) #("1e999" None) #("" None) #("a" None)
        #("1/2." 0.5) #("0.25." 0.25) #("25%." 0.25) #("10.6 million." 10.6) #("." None)
        #("1/0" None) #("ln a" None)
        #("ln 0" None) #("log(1/2)" (log 0.5)) #("(log 2)" (log 2)) #("-ln(1/2)" (- (log 0.5)))
        #("0,111" 0.111) #("-0,125" -0.125)
        #("log10(3)" None) #("log" None)])]
      test-numbers-as-people-type-them [typed number]
  (assert (= (as-number typed) number)))

(defn test-answers [small]
  (setv [choice number] (get small.sections "Predict"))
  (assert (= (lfor  t ["b" "B" "b)" "(b)" " b. " "c" ""]  (understood choice t))
             ["b" "b" "b" "b" "b" None None]))
  (assert (is-right choice "b"))
  (assert (not (is-right choice "a")))
  (assert (is-right number 0.58))
  (setv millions (replace number :text "How many, in millions?"))
  (assert (= (lfor  t ["10.6" "10616832" "10,616,832"]  (understood millions t))
             [10.6 10.616832 10.616832]))
  (assert (= (understood number "10616832") 10616832))
  (assert (is-right (replace number :answer "0.3") 0.4))        ; though 0.4 - 0.3 > 0.1 in floats
  (assert (not (is-right number 0.61))))

(defn [(pytest.mark.parametrize #("claim" "shown" "same") [
        #("1.0" "1.0001" True) #("1.0" "1.001" False) #("[1 2]" "[1  2]" True)
        #("[1 2]" "[1 2 3]" False) #("True" "False" False) #("[-inf nan]" "[-inf nan]" True)
        #("inf" "1" False) #("\"ab\"" "\"ab\"" True) #("\"ab\"" "\"ba\"" False)])]
      test-agree [claim shown same]
  (assert (= (agree claim shown) same)))

(defn test-values-in-words []
  (import torch)
  (assert (= (in-words (torch.tensor [[1.0 -0.25] [10.0 0.00001]]))
             "[[ 1.0 -0.25]\n [10.0   0.0]]"))
  (assert (= (in-words [1 "a" True (/ 2 3)]) "[1 \"a\" True 0.6667]"))
  (assert (= (in-words (torch.tensor 3)) "3"))
  (assert (= (in-words (- (float "inf"))) "-inf"))
  (assert (= (in-words -0.00001) "0.0"))
  (assert (= (in-words (.view (torch.arange 8) 2 2 2))
             "[[[0 1]\n  [2 3]]\n [[4 5]\n  [6 7]]]")))

(defn test-long-lines-are-broken []
  (setv code (+ "(setv x (some-function with many arguments and more of them) y 2)   "
                "   ; a remark\n"
                "  \"a docstring that goes on " (* "and on " 20) "\""))
  (for [line (.splitlines (narrow code))]
    (assert (<= (len line) WIDTH)))
  (assert (= (sorted (.split (narrow code))) (sorted (.split code)))))     ; only order and breaks

(defn test-lines-are-as-long-as-they-may-be []
  (for [n (range 60 79)]
    (for [line (.splitlines (narrow (+ "(" (* "x" n) ")    ; abc")))]
      (assert (<= (len line) WIDTH))))
  (setv [first #* _] (.splitlines (narrow (+ "(f" (* " abc" 30) ")"))))
  (assert (= (len first) 78)))                     ; one more word would be too many

(defn test-one-empty-line-between-paragraphs []
  (setv out  (io.StringIO)
        page (Page out))
  (.paragraph page "a")
  (.paragraph page "b")
  (assert (= (.getvalue out) "a\n\nb\n\n")))

(defn test-the-last-line-needs-no-end []
  (setv out   (io.StringIO)
        lines (Lines (Page out)))
  (.write lines "a\nb")
  (assert (= (.getvalue out) "a\n"))
  (for [_ (range 2)]                               ; and is shown once
    (.end lines)
    (assert (= (.getvalue out) "a\nb\n"))))

(defn test-markdown-becomes-text []
  (assert (= (plain "see [a b](c.md), **now**, **or then**") "see a b, now, or then"))
  (assert (= (plain "(f #** d)  f(**d)\n(** a b)  a ** b") "(f #** d)  f(**d)\n(** a b)  a ** b")))


;;; Asking

(defn test-right-wrong-and-skipped [small]
  (setv out (went small "b" "" "" ""))
  (assert (in "Right. Because somebody" out))
  (assert (in "Answer: 0.5. More or less" out))
  (assert (in "=> 3" out))
  (setv out (went small "a" "0,55" "" ""))
  (assert (in "Not so: the answer is b. Because" out))
  (assert (in "Right. More or less" out)))

(defn test-what-is-not-understood-is-asked-again [small]
  (setv out (went small "hen" "b" "a half" "1/2" "" ""))
  (assert (in "Type one of a, b." out))
  (assert (in "Type a number" out))
  (assert (= (.count out "Right.") 2)))

(defn test-after-the-last-try-nothing-is-asked-for [small]
  (setv out (went small "b" "a half" "one half" "half" "" ""))
  (assert (= (.count out "Type a number") 2))
  (assert (in "That was the last try." out))
  (assert (in "Answer: 0.5. More or less" out)))

(defn test-what-was-right-once-stays-right [small]
  (went small "a" "0.5" "" "")
  (setv record (get (read-progress) "small"))
  (assert (= (get record "answers") {"1" False  "2" True}))
  (assert (= (get record "sections") ["Predict" "Run"]))
  (assert (= (state small record) "done, 1/2 right"))
  (went small "b" "9" "" "")
  (assert (= (state small (get (read-progress) "small")) "done, 2/2 right")))

(defn test-a-lesson-goes-on-where-it-was-left [small]
  (went small "b" "0.5" "q")
  (setv out (went small ""))
  (assert (not-in "Which comes first?" out))
  (assert (not-in "An introduction" out))
  (assert (not-in "Runs what came before" out))                  ; there are only questions in it
  (assert (in "=> 3" out))
  (assert (= (get (read-progress) "small" "sections") ["Predict" "Run"]))
  (assert (in "Which comes first?" (went small "b" "0.5"))))          ; done: it begins anew

(defn test-or-begins-again [small]
  (went small "b" "0.5" "q")
  (setv out (went small "b" "b" "0.5" ""))
  (assert (in "An introduction" out))
  (assert (in "Which comes first?" out)))

(defn test-where-to-go-on-is-asked-again [small]
  (went small "b" "0.5" "q")
  (setv out (went small "banana" "B" "b" "0.5" ""))
  (assert (in "Type b, q, or nothing." out))
  (assert (in "Which comes first?" out)))

(defn test-what-was-skipped-was-run-all-the-same [tmp-path]
  (setv path (/ tmp-path "s03_small.md"))
  (.write-text path (+ SMALL "\n## Look\n\n```hy\n(* 10 x)\n; => 20\n```\n\n"
                       "**Question.** Why?\n\n<details><summary>Answer</summary>\n\n"
                       "**2.** So it is.\n\n</details>\n"))
  (setv lesson (read-lesson path))
  (went lesson "b" "0.5" "" "q")
  (setv out (went lesson "" "2"))
  (assert (in "(Runs what came before" out))
  (assert (in "=> 20" out))
  (assert (not-in "=> 3" out))
  (assert (= (get (read-progress) "small" "answers") {"1" True  "2" True  "3" True})))

(defn test-a-terminal-is-not-overrun [small]
  (setv page (Page)
        page.console (Console :file (io.StringIO) :force-terminal True :height 12))
  (assert (not (.is-full page)))
  (.paragraph page "a\nb\nc\nd\ne")
  (assert (.is-full page))
  (setv session (Session small :read (typing "") :page page))
  (.hand-over session)
  (assert (not (.is-full page)))
  (.hand-over session)                             ; asks for nothing: nothing more could be typed
  (setv session.read (typing "" "q"))
  (with [_ (pytest.raises Leave)]              ; nor by a long part, or what a form prints
    (.print (Console :file (Lines page)) (* "line\n" 25))))

(defn test-a-terminal-waits-before-a-line-is-lost []
  (setv page  (Page)
        waits [])
  (setv page.console (Console :file (io.StringIO) :force-terminal True :height 12)
        page.wait    (fn [] (.append waits 1)))
  (for [n (range 1 13)]
    (.line page "words")
    (when (<= n 10)                                ; two lines are for what is asked then
      (assert (= (.is-full page) (>= n 4))))
    (assert (= (len waits) (if (<= n 10) 0 1)))))

(defn test-an-empty-line-does-not-wait []
  "It would part a pause from the question behind it."
  (setv page  (Page)
        waits [])
  (setv page.console (Console :file (io.StringIO) :force-terminal True :height 12)
        page.wait    (fn [] (.append waits 1)))
  (for [_ (range 10)]
    (.line page "words"))
  (.line page)
  (assert (= waits []))
  (.line page "words")
  (assert (= waits [1])))

(defn [(pytest.mark.skipif (= os.name "nt") :reason "there is no such terminal")]
      test-what-was-typed-before-a-question-answers-none [small monkeypatch]
  "A form may take seconds, and Enter is soon pressed."
  (setv [keyboard terminal] (os.openpty))
  (with [stdin (open terminal)]
    (.setattr monkeypatch sys "stdin" stdin)
    (os.write keyboard b"9\n")
    (select.select [stdin] [] [] 5)                ; it has come
    (defn read [prompt]
      (os.write keyboard b"0.5\n")
      (.readline stdin))
    (assert (= (.type-in (Session small :read read :page (Page (io.StringIO))) "> ") "0.5")))
  (os.close keyboard))

(defn test-a-pause-in-the-midst-of-what-is-printed-shows [small]
  "Its prompt is no part of that."
  (setv out     (io.StringIO)
        page    (Page)
        page.console (Console :file out :force-terminal True :height 12)
        shown   []
        lines   (Lines page))
  (defn read [prompt]
    (print prompt :end "")
    (.append shown (.endswith (.getvalue out) prompt))
    "")
  (Session small :page page :read read)
  (with [_ (redirect-stdout lines)]
    (print (+ (* "line\n" 25) "begun") :end ""))
  (assert shown)
  (assert (all shown))
  (assert (= lines.begun "begun")))

(defn test-a-pause-is-no-question [small]
  (setv text (went small "b" "0.5" "(+ 1 2)" "q"))
  (assert (in "Nothing was asked here" text))
  (assert (.endswith text "LEFT"))
  (assert (= ["Predict"] (get (read-progress) "small" "sections"))))

(defn [(pytest.mark.parametrize "last" ["q" "Quit" EOFError KeyboardInterrupt])]
      test-leaving-keeps-what-was-done [small last capsys monkeypatch]
  (assert (in "LEFT" (went small "b" "0.5" last)))
  (setv record (get (read-progress) "small"))
  (assert (= (get record "sections") ["Predict"]))
  (assert (= (state small record) "begun, 2/2 right"))
  (.setattr monkeypatch "builtins.input" (typing "b" last))
  (hold small False)
  (assert (in "Until next time" (. (.readouterr capsys) out))))

(defn test-without-input-nothing-is-asked-or-noted [small]
  (setv out (io.StringIO))
  (.hold (Session small :page (Page out)))
  (setv text (.getvalue out))
  (assert (in "Answer: b. Because" text))
  (assert (in "b) the hen, which is a bird" text))
  (assert (not-in "[Enter" text))
  (assert (= (read-progress) {})))


;;; The file of progress

(defn test-progress-is-kept []
  (note-section "head" "Run")
  (note-answer "head" 1 True)
  (note-exercise "heads")
  (assert (= (read-progress) {"head" {"sections" ["Run"]  "answers" {"1" True}}
                              "heads" {"exercise" True}})))

(defn [(pytest.mark.parametrize "text" [
        "" "{" "[]" "{\"lessons\": []}" "{\"lessons\": {\"head\": 3}}" "\xff\xfe"
        "{\"lessons\": {\"head\": {\"sections\": 3}}}"
        "{\"lessons\": {\"head\": {\"sections\": [[1]]}}}"
        "{\"lessons\": {\"head\": {\"answers\": []}}}"])]
      test-a-broken-file-is-set-aside [text home]
  (.mkdir home)
  (.write-text (progress-path) text :encoding "latin-1")
  (setv said [])
  (assert (= (read-progress said.append) {}))
  (assert (= (len said) 1))
  (assert (in "progress starts anew" (get said 0)))
  (assert (= (.read-text (/ home "progress.broken.json") :encoding "latin-1") text))
  (note-section "head" "Run")
  (assert (= (read-progress said.append) {"head" {"sections" ["Run"]}}))
  (assert (= (len said) 1)))

(defn test-a-deeply-nested-file [home]
  (.mkdir home)
  (.write-text (progress-path) (* "[" 100,000))
  (assert (= (read-progress (fn [text] None)) {})))

(defn [(pytest.mark.parametrize #("what" "words") [
        #("a folder"  "progress.json is a folder")
        #("too large" "has more than 1,000,000 bytes")])]
      test-a-file-that-cannot-be-read-is-left-as-it-is [what words home]
  (.mkdir home)
  (if (= what "a folder")
    (.mkdir (progress-path))
    (.write-text (progress-path) (* " " 1,100,000)))
  (setv said [])
  (assert (= (read-progress said.append) {}))
  (assert (in words (get said 0)))
  (assert (.endswith (get said 0) "; until then no progress is kept."))
  (assert (is False (note-section "head" "Run")))
  (assert (= (list (.iterdir home)) [(progress-path)])))

(defn test-a-broken-file-that-cannot-be-set-aside [home]
  (.mkdir (/ home "progress.broken.json" "a folder") :parents True)
  (.write-text (progress-path) "{")
  (setv said [])
  (assert (= (read-progress said.append) {}))
  (assert (= 1 (len said)))
  (assert (in "progress.json cannot be used: " (get said 0))))

(defn test-whether-it-could-be-saved [monkeypatch home]
  (.setenv monkeypatch "NANOGPT_HY_HOME" (str (/ home "not" "made" "yet")))
  (assert (note-section "head" "Run"))
  (defn full [path text]
    (raise (WorkError "no space left")))
  (.setattr monkeypatch "nanogpt_hy.lessons.progress.write_atomic" full)
  (assert (is False (note-exercise "head"))))

(defn test-where-progress-is [monkeypatch tmp-path home]
  (.setenv monkeypatch "XDG_DATA_HOME" (str (/ tmp-path "data")))
  (assert (= (progress-path) (/ home "progress.json")))
  (.delenv monkeypatch "NANOGPT_HY_HOME")
  (assert (= (progress-path) (/ tmp-path "data" "nanogpt-hy" "progress.json")))
  (.delenv monkeypatch "XDG_DATA_HOME")
  (.setenv monkeypatch "HOME" (str tmp-path))
  (assert (= (progress-path) (/ tmp-path ".local" "share" "nanogpt-hy" "progress.json"))))

(defn test-a-lesson-goes-on-where-nothing-can-be-saved [small home]
  (.write-text home "a file where the folder should be")
  (setv out (went small "b" "0.5" "" ""))
  (assert (in "=> 3" out)))


;;; The command line

(defn test-list [cli home]
  (note-section "head" "Run")
  (setv done (cli "lesson" :env {"NANOGPT_HY_HOME" (str home)})
        lines (.splitlines done.stdout))
  (assert (= [done.returncode done.stderr] [0 ""]))
  (assert (re.fullmatch r" 8  head +Self-attention +begun" (get lines 7)))
  (assert (= (len lines) 18))
  (for [line lines]
    (assert (<= (len line) WIDTH))))

(defn test-what-was-skipped-counts-when-a-lesson-is-done []
  (setv lesson (find-lesson "gpt")
        record {"answers" {"1" True  "2" False}  "sections" ["Predict"]})
  (assert (= (state lesson record) "begun, 1/2 right"))
  (setv (get record "sections") (list lesson.sections))
  (assert (= (state lesson record) "done, 1/4 right"))
  (assert (= (state lesson {"sections" (list lesson.sections)  "exercise" True}) "done, solved")))

(defn [(pytest.mark.parametrize #("arguments" "code" "words") [
        #(["99"] 2 "there is no lesson 99: they are 1 to 16")
        #(["attention"] 2 "there is no lesson attention: did you mean head?")
        #(["haed"] 2 "did you mean head?")
        #(["--exercise"] 2 "which lesson?")
        #(["8" "--check" "none.hy"] 2 "there is no file none.hy")
        #(["8" "--exercise" "a.hy" "--check" "a.hy"] 2 "give one of them")
        #(["8" "--check" "a.hy" "--solution"] 2 "give one of them")])]
      test-wrong-requests [cli arguments code words]
  (setv done (cli "lesson" #* arguments))
  (assert (= done.returncode code))
  (assert (= (len (.splitlines done.stderr)) 1))
  (assert (in words done.stderr)))

(defn test-exercise-and-check [cli home tmp-path]
  (setv home {"NANOGPT_HY_HOME" (str home)}
        made (cli "lesson" "bigram" "--exercise" :env home)
        path (/ tmp-path "lesson-03-bigram.hy"))
  (assert (= made.returncode 0))
  (assert (in f"nanogpt-hy lesson 3 --check {path.name}" made.stdout))
  (setv again (cli "lesson" "3" "--exercise" :env home))
  (assert (= again.returncode 2))
  (setv failed (cli "lesson" "3" "--check" path.name :env home))
  (assert (= failed.returncode 1))
  (assert (in "the hole is still there: write the mean surprise" failed.stderr))
  (.write-text path (re.sub r"\(hole \"[^\"]*\"\)" "(- (.mean given))" (.read-text path)))
  (assert (in "lesson 3 --solution" (.read-text path)))
  (setv solution (. (cli "lesson" "3" "--solution" :env home) stdout))
  (assert (in "(- (.mean given))" solution))
  (assert (not-in "(hole" solution))
  (setv passed (cli "lesson" "3" "--check" path.name :env home))
  (assert (= [passed.returncode passed.stderr] [0 ""]))
  (assert (in "right. cross-entropy does what it should" passed.stdout))
  (assert (in "solved" (get (.splitlines (. (cli "lesson" :env home) stdout)) 2))))

(defn test-through-a-pipe [cli home]
  (setv done (cli "lesson" "2" :input "b\n7\n" :env {"NANOGPT_HY_HOME" (str home)}))
  (assert (= [done.returncode done.stderr] [0 ""]))
  (assert (in "Right. Every place has a target" done.stdout))
  (assert (in "Not so: the answer is 8." done.stdout))
  (assert (in "Until next time" done.stdout))
  (assert (not-in "\x1b" done.stdout)))

(defn test-straight-through [cli]
  (setv done (cli "lesson" "2" "--no-input"))
  (assert (= [done.returncode done.stderr] [0 ""]))
  (assert (in "Next: nanogpt-hy lesson 3" done.stdout))
  (for [line (.splitlines done.stdout)]
    (assert (<= (len line) WIDTH))))

(defn as-made [trained]
  "A Trained, where a lesson has a Made."
  (SimpleNamespace :run (SimpleNamespace :model trained.model :config trained.config
                                         :corpus (SimpleNamespace :tokenizer trained.tokenizer))))

(defn test-what-a-made-model-writes-and-expects [tmp-path]
  (setv trained (small-run tmp-path)
        made    (as-made trained)
        text    "\nabbbbbbb\naaabbbbb\naa")                       ; longer than its context
  (assert (= (len (written made 30)) 30))
  (assert (= (written made 30) (written made 30)))
  (assert (!= (written made 30) (written made 30 :seed 2)))
  (assert (= (list (.values (chances made text)))
             (pytest.approx (get (next-characters trained text) "before") :abs 1e-4))))

(defn test-pictures-of-lessons []
  (assert (= (bars {"a" 0.5  "\n" 0.25} :width 8) "   a 0.500 ####\n   / 0.250 ##"))
  (assert (= 9 (len (.splitlines (curve [0.0 0.0])))))
  (assert (= (.splitlines (curve [4.0 2.0 1.0] :height 2))
             ["   4.00 | #"  "   2.00 | # #"  "         from 4.00 to 1.00"])))

(defn test-a-number-that-would-never-be-worked-out []
  (for [typed ["1e9999999999" "1e-9999999999" "1E+999_999_999"         ; 999_999 is a number too
               (+ (* "ln " 2000) "2") (* "1" 5000)]]
    (assert (is (as-number typed) None)))
  (assert (= (as-number "1e-3") 0.001)))
