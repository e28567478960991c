"`nanogpt-hy lesson`: list the lessons, hold one, write its exercise, check or solve it."

(import  sys
         time [perf-counter]
         nanogpt-hy.errors [RequestError]
         nanogpt-hy.lessons.exercise [check-file solved write-exercise]
         nanogpt-hy.lessons.lesson [find-lesson lesson-paths Question read-lesson]
         nanogpt-hy.lessons.page [Page]
         nanogpt-hy.lessons.progress [note-exercise read-progress]
         nanogpt-hy.lessons.session [Leave Session])

(defn is-done [lesson record]
  "Whether the learner went through all of LESSON."
  (= (set (.get record "sections" [])) (set lesson.sections)))

(defn guessed [lesson record]
  "How many answers were right, and of how many; '' if none was given. Who is not through yet has
  not been asked all of them; after that, what was skipped counts too."
  (setv answers (.values (.get record "answers" {}))
        asked   (if (is-done lesson record) (.all-of lesson Question) answers))
  (if answers
      f"{(sum (gfor  right answers  (bool right)))}/{(len asked)} right"
      ""))

(defn state [lesson record]
  "How far the learner is with LESSON, in a few words."
  (setv words [(cond (is-done lesson record) "done"  (.get record "sections") "begun"  True "")
               (guessed lesson record)
               (if (.get record "exercise") "solved" "")])
  (.join ", " (filter None words)))

(defn list-lessons []
  "Print the lessons, a line each, with the learner's progress."
  (setv progress (read-progress (fn [text] (print text :file sys.stderr)))
        lessons (lfor  path (lesson-paths)  (read-lesson path))
        record  (fn [lesson] (.get progress lesson.name {}))
        left    (lfor  lesson lessons  :if (not (is-done lesson (record lesson)))  lesson))
  (for [lesson lessons]
    (print (.rstrip (+ f"{lesson.number :>2}  {lesson.name :<13} {lesson.title :<37} "
                       (state lesson (record lesson))))))
  (setv next (if left (get left 0) (get lessons 0)))
  (print (+ f"\nnanogpt-hy lesson {next.number} {(if (in next.name progress) "goes on" "begins")}; "
            "a lesson takes ten to twenty minutes.")))

(defn check [lesson path]
  "Check a learner's file and praise it; WorkError if it is wrong."
  (setv started (perf-counter)
        piece   (check-file lesson path))
  (note-exercise lesson.name)
  (print (+ f"{path}: right. {piece} does what it should, on all that it was given "
            f"({(- (perf-counter) started) :.1f} s).")))

(defn hold [lesson no-input]
  "Hold LESSON, asking unless told not to; leaving early is fine."
  (setv session (Session lesson :read (if no-input None input)))
  (try
    (.hold session)
    (except [Leave]
      (print (+ f"\nUntil next time. What you did is noted; nanogpt-hy lesson {lesson.number} "
                "takes it up again.")))
    (except [KeyboardInterrupt]
      (when no-input
        (raise))
      (print f"\nUntil next time: nanogpt-hy lesson {lesson.number}"))))

(defn lesson [[which None] * [no-input False] [exercise None] [check-path None] [solution False]]
  "`nanogpt-hy lesson`: list the lessons, or hold one, or write or check its exercise, or show how
  it is solved. EXERCISE is the file to write, '' for a name of our choice. -> exit code."
  (setv asked (lfor  [option given] [["--exercise" (is-not exercise None)]
                                     ["--check" check-path]
                                     ["--solution" solution]]
                     :if given
                     option))
  (when (> (len asked) 1)
    (raise (RequestError f"{(.join " and " asked)} ask for different things: give one of them")))
  (when (is which None)
    (when (or asked no-input)
      (raise (RequestError "which lesson? Give its number: nanogpt-hy lesson 8 ...")))
    (list-lessons)
    (return 0))
  (setv chosen (find-lesson which))
  (match asked
    ["--exercise"] (do (setv path (write-exercise chosen exercise))
                       (print f"{path}: fill its hole, then")
                       (print f"    nanogpt-hy lesson {chosen.number} --check {path}"))
    ["--check"]    (check chosen check-path)
    ["--solution"] (.code (Page) (solved chosen) "")
    _              (hold chosen no-input))
  0)
