"The exercises: files with a hole, and the check of what a learner made of them.

The learner's file is Hy code and is run as such: it is their own, and running it is the point."

(eval-when-compile
  (require hyrule [unless]))
(import  contextlib [contextmanager]
         importlib.machinery [ModuleSpec]
         os
         pathlib [Path]
         signal
         traceback
         types [ModuleType]
         hy.compiler [hy-compile]
         hy.errors [HyLanguageError]
         nanogpt-hy.errors [RequestError UserError WorkError]
         nanogpt-hy.lab.files [write-atomic]
         nanogpt-hy.lessons.lesson [Exercise Text])

(setv PATIENCE 60)      ; seconds that a check may take; all of ours take less than two


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

(defn exercise-text [lesson path]
  "LESSON's exercise as a Hy file: what to do, in comments, and the code with its hole."
  (setv told (lfor  part (get lesson.sections "Change")  :if (isinstance part Text)
                    (.replace part.text "**" ""))
        lines [f"Lesson {lesson.number}, {lesson.title}: an exercise." ""
               #* (.splitlines (.join "\n\n" told)) ""
               "When the hole is filled:"
               f"    nanogpt-hy lesson {lesson.number} --check {path}"])
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
  "The kind of an error and its first line."
  (setv [line #* _] [#* (.splitlines (str error)) ""])
  (.rstrip f"{(. (type error) __name__)}: {line}" ": "))

(defn not-readable [path error]
  "What to say when PATH is no Hy: where, and what is missing."
  (setv words (get [#* (.splitlines (str (getattr error "msg" error))) ""] 0)
        line (getattr error "lineno" None))
  (WorkError (+ f"{path}" (if line f", line {line}" "") f" cannot be read as Hy: {words}"
                (if (in "Premature" (. (type error) __name__))
                    ". Some parenthesis is not closed" ""))))

(defn [contextmanager] the-learners-code [path piece]
  "Within, what goes wrong in the file at PATH becomes one line that says where."
  (try
    (yield)
    (except [e HoleLeft]
      (raise (WorkError f"{path}{(where-in path e)}: the hole is still there: write {e}")
             :from None))
    (except [e UserError]
      (raise (WorkError f"{path}: {piece}: {e}") :from None))
    (except [e HyLanguageError]
      (raise (not-readable path e) :from None))
    (except [e KeyboardInterrupt]
      (raise))
    (except [e BaseException]                  ; SystemExit too: a file that exits was not checked
      (raise (WorkError (+ f"{path}{(where-in path e)}: "
                           (if (where-in path e) "" f"calling {piece} failed: ")
                           (first-line e)))
             :from None))))

(defn load-file [path]
  "Run the Hy file at PATH; -> its module."
  (import nanogpt-hy.lab.data.corpus [read-text])             ; here, for it loads torch
  (setv text   (read-text path)
        module (ModuleType "exercise"))
  (setv module.__file__ (str path)
        module.__spec__ (ModuleSpec "exercise" None)
        module.hy hy)
  (setv forms (hy.read-many text :filename (str path))
        tree  (hy-compile forms module))
  (exec (compile tree (str path) "exec") (vars module))
  module)

(defn [contextmanager] patience [path]
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
  (import nanogpt-hy.lab.data.corpus [read-text]
          nanogpt-hy.lessons.exercise-checks [EXERCISE-CHECKS])
  (setv piece (. (the-exercise lesson) piece)
        check (get EXERCISE-CHECKS piece))
  (read-text path)                             ; whether there is such a file is asked first
  (with [_ (patience path)  _ (the-learners-code path piece)]
    (setv form (.get (vars (load-file path)) (hy.mangle piece)))
    (when (is form None)
      (raise (WorkError "the file defines nothing of that name")))
    (check form))
  piece)
