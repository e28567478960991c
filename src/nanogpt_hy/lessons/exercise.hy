"The exercises: files with a hole, and the check of what a learner made of them.

The learner's file is Hy code and is run as such: it is their own, and running it is the point."

(eval-when-compile
  (require hyrule [unless]))
(import  contextlib [contextmanager]
         importlib.machinery [ModuleSpec]
         os
         pathlib [Path]
         re
         signal
         traceback
         types [ModuleType]
         warnings
         hy.compiler [hy-compile]
         hy.errors [HyLanguageError]
         nanogpt-hy.errors [RequestError UserError WorkError]
         nanogpt-hy.lab.data.texts [read-text]
         nanogpt-hy.lab.files [write-atomic]
         nanogpt-hy.lab.lisp.hints [glued-in hint-for infix-in python-in]
         nanogpt-hy.lessons.lesson [Exercise Solution Text]
         nanogpt-hy.lessons.page [plain])

(setv PATIENCE 20)      ; seconds that a check may take; all of ours take less than two


;;; The hole

(defclass HoleLeft [WorkError]
  "The hole of an exercise was reached.")

(defn hole [words]
  "What stands in an exercise where the learner's own code belongs: WORDS say what it has to do."
  (raise (HoleLeft words)))


;;; Writing an exercise

(defn the-exercise [lesson]
  "The Exercise of LESSON."
  (get (.all-of lesson Exercise) 0))

(defn solved [lesson]
  "LESSON's exercise with its hole filled, and in a comment above what belongs there."
  (setv form (. (get (.all-of lesson Solution) 0) text))
  (defn filled [found]
    (setv [indent before words] (.groups found))
    f"{indent};; {words}:\n{indent}{before}{form}")
  (re.sub r"(?m)^( *)(.*)\(hole \"([^\"]*)\"\)" filled (. (the-exercise lesson) text)))

(defn exercise-text [lesson path]
  "LESSON's exercise as a Hy file: what to do, in comments, and the code with its hole."
  (setv told (lfor  part (get lesson.sections "Change")  :if (isinstance part Text)
                    (plain part.text))
        lines [f"Lesson {lesson.number}, {lesson.title}: an exercise." ""
               #* (.splitlines (.join "\n\n" told)) ""
               "When the hole is filled:"
               f"    nanogpt-hy lesson {lesson.number} --check {path}"
               "When you are stuck:"
               f"    nanogpt-hy lesson {lesson.number} --solution"])
  (+ (.join "\n" (gfor  line lines  (.rstrip f";; {line}")))
     "\n\n" (. (the-exercise lesson) text) "\n"))

(defn write-exercise [lesson path]
  "Write LESSON's exercise to PATH, where there may be no file yet; -> its Path."
  (setv path (Path (or path f"lesson-{lesson.number :02d}-{lesson.name}.hy")))
  (when (os.path.lexists path)
    (raise (RequestError
      f"{path} is there already and may hold your work: name another file behind --exercise")))
  (unless (.is-dir path.parent)
    (raise (RequestError f"there is no folder {path.parent}: make it, or name another file")))
  (write-atomic path (exercise-text lesson path))
  path)


;;; Checking what was made of it

(defn where-in [path error]
  "The last line of the file at PATH that was being run when ERROR came: ', line 7', or nothing."
  (setv lines (lfor  frame (traceback.extract-tb error.__traceback__)
                     :if (= frame.filename (str path))
                     frame.lineno))
  (if lines f", line {(get lines -1)}" ""))

(defn first-line [error]
  "The kind of an error and its first line, with names as Hy writes them."
  (setv [line #* _] [#* (.splitlines (str error)) ""]
        line (re.sub r"\bhyx_\w+" (fn [name] (hy.unmangle (get name 0))) line))
  (.rstrip f"{(. (type error) __name__)}: {line}" ": "))

(defn not-readable [path text error]
  "What to say when TEXT, from the file at PATH, is no Hy: where, and what is missing."
  (setv words (get [#* (.splitlines (str (getattr error "msg" error))) ""] 0)
        line (getattr error "lineno" None))
  (WorkError (+ f"{path}" (if line f", line {line}" "") " cannot be read as Hy: "
                (or (python-in text)
                    (when (in "dotted identifier" words) (glued-in text))
                    (when (in "macro 'setv'" words)
                      "a name has no value: setv takes them in pairs")
                    words)
                (if (in "Premature" (. (type error) __name__))
                    ". Some parenthesis is not closed" ""))))

(defn [contextmanager] the-learners-code [path text piece]
  "Within, what goes wrong in TEXT, from the file at PATH, becomes one line that says where."
  (try
    (yield)
    (except [e HoleLeft]
      (raise (WorkError f"{path}{(where-in path e)}: the hole is still there: write {e}")
             :from None))
    (except [e UserError]
      (setv hint (infix-in text))
      (raise (WorkError (+ f"{path}: {piece}: {e}" (if hint f"; {hint}" ""))) :from None))
    (except [e HyLanguageError]
      (raise (not-readable path text e) :from None))
    (except [KeyboardInterrupt]
      (raise))
    (except [e BaseException]                  ; SystemExit too: a file that exits was not checked
      (setv hint (hint-for e text))
      (raise (WorkError (+ f"{path}{(where-in path e)}: "
                           (if (where-in path e) "" f"calling {piece} failed: ")
                           (first-line e)
                           (if hint f"; {hint}" "")))
             :from None))))

(defn load [path text]
  "Run TEXT, Hy from the file at PATH; -> its module."
  (setv module (ModuleType "exercise"))
  (setv module.__file__ (str path)
        module.__spec__ (ModuleSpec "exercise" None)
        module.hy hy)
  (setv tree (hy-compile (hy.read-many text :filename (str path)) module))
  (with [_ (warnings.catch-warnings :action "ignore")]   ; Python's, of what comes out of the Hy
    (setv code (compile tree (str path) "exec")))
  (exec code (vars module))
  module)

(defn [contextmanager] patience []
  "Within, whatever takes longer than PATIENCE ends, where the system can do that."
  (defn give-up [number frame]
    (raise (TimeoutError f"no end after {PATIENCE} seconds: does a loop go on for ever?")))
  (setv can (hasattr signal "SIGALRM"))
  (when can
    (setv before (signal.signal signal.SIGALRM give-up))
    (signal.alarm PATIENCE))
  (try
    (yield)
    (finally
      (when can
        (signal.alarm 0)
        (signal.signal signal.SIGALRM before)))))

(defn check-file [lesson path]
  "Hold the file at PATH against LESSON's check; WorkError says what is wrong and why."
  (import nanogpt-hy.lessons.exercise-checks [EXERCISE-CHECKS])    ; here, for it loads torch
  (setv piece (. (the-exercise lesson) piece)
        check (get EXERCISE-CHECKS piece)
        text  (read-text path))
  (with [_ (patience)
         _ (the-learners-code path text piece)
         _ (warnings.catch-warnings :action "ignore")]    ; torch's, of shapes that are wrong anyway
    (setv form (.get (vars (load path text)) (hy.mangle piece)))
    (when (is form None)
      (raise (WorkError "the file defines nothing of that name")))
    (check form))
  piece)
