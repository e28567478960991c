"A lesson, held in a terminal: it asks before it tells, runs what it shows, and keeps in mind what
was done."

(eval-when-compile
  (require hyrule [unless]))
(import  contextlib [redirect-stdout]
         io [StringIO]
         itertools [takewhile]
         re
         sys
         textwrap
         nanogpt-hy.lessons.blocks [in-words steps-of value-of workplace]
         nanogpt-hy.lessons.lesson [Code Command Exercise is-right lesson-paths Question Solution
                                    Text understood]
         nanogpt-hy.lessons.page [Lines Page plain reflow]
         nanogpt-hy.lessons.progress [note-answer note-section read-progress])

(try
  (import termios)
  (except [ImportError]                 ; Windows
    (setv termios None)))

(setv TRIES 3)            ; times that something not understood may be typed

(defclass Leave [Exception]
  "The learner wants to go.")

(defclass Session []
  "One learner with one lesson. READ asks for a line of input; without it nothing is asked."

  (defn __init__ [self lesson * [read None] [page None]]
    (setv self.lesson lesson
          self.read   read
          self.page   (or page (Page))
          self.asked  0
          self.values []                 ; #(step text) of all that was shown
          self.module None                ; where the blocks are run; made when the first one is
          self.page.wait (fn [] (.pause self "more"))))

  (defn hold [self]
    "The whole lesson, or what the learner has not gone through yet."
    (setv lesson self.lesson)
    (.heading self.page f"Lesson {lesson.number}: {lesson.title}")
    (setv behind (.behind self)
          [first #* _] (gfor  section lesson.sections  :if (not-in section behind)  section))
    (if behind
        (.catch-up self behind)
        (.go-through self lesson.intro))
    (for [[section parts] (.items lesson.sections)
          :if (not-in section behind)]
      (if (= section first)
        (.hand-over self)
        (.pause self (.lower section)))
      (.heading self.page section)
      (.go-through self parts)
      (when self.read
        (note-section lesson.name section)))
    (.farewell self))

  (defn behind [self]
    "The sections that the learner went through before and does not want to see again."
    (setv record (.get (if self.read (read-progress) {}) self.lesson.name {})
          done   (list (takewhile (fn [section] (in section (.get record "sections" [])))
                                  self.lesson.sections))
          left   (cut [#* self.lesson.sections] (len done) None))
    (unless (and done left)
      (return []))
    (setv prompt (+ f"[Enter: go on with {(.lower (get left 0))}, "
                    "b: from the beginning, q: leave] "))
    (while (not-in (setx typed (.lower (.type-in self prompt))) ["" "b"])
      (.line self.page "Type b, q, or nothing."))
    (if typed [] done))

  (defn catch-up [self sections]
    "Run the code of SECTIONS unseen: what comes after them builds on it."
    (when (any (gfor  section sections  part (get self.lesson.sections section)
                      (isinstance part Code)))
      (.line self.page "(Runs what came before, unseen; some lessons take half a minute over it.)"))
    (for [section sections
          part (get self.lesson.sections section)]
      (cond
        (isinstance part Question) (+= self.asked 1)
        (isinstance part Code)
          (with [_ (redirect-stdout (StringIO))]
            (for [step (steps-of part.text)]
              (.value-of self step))))))

  (defn go-through [self parts]
    (for [part parts
          :if (not (isinstance part Solution))]         ; that is there to be looked up
      (.hand-over self)
      (cond
        (isinstance part Text)     (.paragraph self.page part.text)
        (isinstance part Code)     (.run self part)
        (isinstance part Command)  (.command self part)
        (isinstance part Question) (.ask self part)
        (isinstance part Exercise) (.offer self part))))

  (defn hand-over [self]
    "Wait for the learner when the terminal is full of what they have not read yet."
    (when (.is-full self.page)
      (.pause self "more")))

  (defn pause [self next]
    "Wait until the learner wants what comes next."
    (when self.read
      (.gap self.page)
      (while (.type-in self f"[Enter: {next}, q: leave] ")
        (.line self.page "Nothing was asked here. (For trying things: nanogpt-hy repl.)"))))

  (defn type-in [self prompt]
    "A line that the learner types. End of input and Ctrl-C mean that they want to leave."
    (try
      ;; Also in the midst of what a form prints, whose lines go to the page one by one.
      (with [_ (redirect-stdout self.page.console.file)]
        (forget-typed)
        (setv typed (.strip (self.read prompt))))
      (except [[EOFError KeyboardInterrupt]]
        (raise (Leave) :from None)))
    (unless (.isatty sys.stdin)
      (.line self.page typed))                 ; a terminal has shown it already
    (setv self.page.unread 0)
    (when (in (.lower typed) ["q" "quit" "exit"])
      (raise (Leave)))
    typed)

  (defn ask [self question]
    "Ask; say whether it was right, and why."
    (setv self.asked (+ self.asked 1)
          page self.page)
    (.gap page)
    (.line page (reflow (plain question.text) "? ") "bold")
    (for [[letter words] (.items question.choices)]
      (.line page (folded f"  {letter}) {words}" "     ")))
    (.line page)
    (setv answer (when self.read (.answer self question))
          right  (and (is-not answer None) (is-right question answer)))
    (when (is-not answer None)
      (note-answer self.lesson.name self.asked right))
    (.paragraph page (reflow (plain question.reason)
                             (cond (is answer None) f"Answer: {question.answer}. "
                                   right            "Right. "
                                   True f"Not so: the answer is {question.answer}. "))))

  (defn answer [self question]
    "What the learner answers; None if they skip it, or type nothing that can be one."
    (setv wanted (if question.choices (.join ", " question.choices) "a number"))
    (for [tried (range 1 (+ TRIES 1))]
      (setv typed (.type-in self f"[{wanted}; Enter: skip] > "))
      (unless typed
        (return None))
      (setv answer (understood question typed))
      (unless (is answer None)
        (return answer))
      (.line self.page (cond
        (= tried TRIES)  "That was the last try."
        question.choices f"Type one of {wanted}."
        True             "Type a number, such as 3, 0.25, 1/4 or ln 3."))))

  (defn run [self code]
    "Show the forms of a block and what each gives."
    (.gap self.page)
    (for [step (steps-of code.text)]
      (.hand-over self)
      (.code self.page step.text)
      (.flush sys.stdout)
      (with [said (redirect-stdout (Lines self.page))]
        (setv value (.value-of self step))
        (.end said))
      (unless (is step.claim None)
        (.append self.values #(step (in-words value)))
        (.value self.page (in-words value))))
    (.gap self.page))

  (defn value-of [self step]
    "The value of a form, run where all forms of the lesson are; in one thread, for what is small is
    done before others wake, and where others compute, too, each operation would wait for them."
    (import nanogpt-hy.lab.training.device [with-threads])               ; loads torch
    (when (is self.module None)
      (setv self.module (workplace)))
    (with [_ (with-threads 1)]
      (value-of step self.module)))

  (defn command [self command]
    "Show a command; if it is one that shows source, do what it does."
    (for [line (.splitlines command.text)]
      (.gap self.page)
      (.line self.page f"  $ {line}" "cyan")
      (setv shown (re.fullmatch r"nanogpt-hy show (\S+)( --python)?" line))
      (when shown
        (.piece self.page (get shown 1) :python (bool (get shown 2)))))
    (.gap self.page))

  (defn offer [self exercise]
    (.gap self.page)
    (.code self.page exercise.text)
    (.paragraph self.page (.join "\n"
      ["Write it to a file, fill the hole in your editor, and have it checked:" ""
       f"    nanogpt-hy lesson {self.lesson.number} --exercise"
       f"    nanogpt-hy lesson {self.lesson.number} --check FILE" ""
       f"`nanogpt-hy lesson {self.lesson.number} --solution` shows one that is right."])))

  (defn farewell [self]
    (setv next (+ self.lesson.number 1)
          last (len (lesson-paths)))
    (.paragraph self.page
      (if (<= next last)
          f"That was lesson {self.lesson.number}. Next: nanogpt-hy lesson {next}"
          "That was the last lesson."))))

(defn forget-typed []
  "Drop what was typed before anything was asked: it would answer a question that nobody has seen."
  (when (and termios (.isatty sys.stdin))
    (termios.tcflush sys.stdin termios.TCIFLUSH)))

(defn folded [text indent]
  "A long line -> lines of at most 78 columns, the later ones indented."
  (textwrap.fill text 78 :subsequent-indent indent :break-on-hyphens False :break-long-words False))
