"The lessons as data: Markdown files, read part by part. Loads no torch.

A lesson is an introduction and sections (Predict, Run, Look, Change, Make); a section is parts:

  text         a paragraph
  ```hy        forms to be run; `; => value` after a form says what it gives
  ```sh        a command, of which `nanogpt-hy show NAME` is run where it stands
  **Question.** with choices or without, and its answer in a <details>
  ```hy exercise NAME    a file with a hole, and the check that it has to pass
  ```hy solution         what belongs into the hole, in a <details>"

(import  dataclasses [dataclass]
         fractions [Fraction]
         math [log]
         pathlib [Path]
         re
         nanogpt-hy.config [nearest]
         nanogpt-hy.errors [RequestError])

(setv FOLDER   (. (Path __file__) parent)
      SECTIONS ["Predict" "Run" "Look" "Change" "Make"]
      LONGEST  80                      ; characters of a number that somebody types
      ;; Words around such a number, blanks taken out, that may as well be missing.
      WORDS    (+ r"^(about|ca\.?|~|=)|(?<=[0-9])(million|m|(channel|character|example|id|nat|pair|"
                  r"place|share|start|token|weight)s?)$"))


;;; What a lesson is made of

(defclass [(dataclass :frozen True)] Text []
  "A paragraph, as it stands in the file."
  #^ str text)

(defclass [(dataclass :frozen True)] Code []
  "Forms to be run."
  #^ str text)

(defclass [(dataclass :frozen True)] Command []
  "What one would type in a terminal."
  #^ str text)

(defclass [(dataclass :frozen True)] Question []
  "Something to be guessed. ANSWER is a choice's letter, or a number that may be missed by WITHIN.
  CHECK is a form that computes the answer, where one can."
  #^ str text
  #^ dict choices
  #^ str answer
  #^ float within
  #^ str reason
  #^ str check)

(defclass [(dataclass :frozen True)] Exercise []
  "A Hy file with a hole; PIECE names the check for what it defines."
  #^ str piece
  #^ str text)

(defclass [(dataclass :frozen True)] Solution []
  "A form that fills the hole."
  #^ str text)

(defclass [(dataclass :frozen True)] Lesson []
  "A lesson: SECTIONS has a name and parts for each."
  #^ int number
  #^ str name
  #^ str title
  #^ Path path
  #^ list intro
  #^ dict sections

  (defn all-of [self kind]
    "The parts of that kind, in order."
    (lfor  parts [self.intro #* (.values self.sections)]
           part parts
           :if (isinstance part kind)
           part)))


;;; Finding one

(defn lesson-paths []
  "-> Paths of the lesson files, in order."
  (sorted (.glob FOLDER "s[0-9][0-9]_*.md")))

(defn lesson-name [path]
  "path -> str  ; (lesson-name (Path \"s10_feed_forward.md\")) => 'feed-forward'"
  (.replace (cut path.stem 4 None) "_" "-"))

(defn find-lesson [which]
  "The Lesson of that number or name."
  (setv which (.lower (.strip (str which)))
        paths (lesson-paths)
        names (lfor  path paths  (lesson-name path)))
  (for [[number path] (enumerate paths 1)]
    (when (in which [(str number) f"{number :02d}" f"s{number :02d}" (lesson-name path)])
      (return (read-lesson path))))
  (setv titled (lfor  [name path] (zip names paths)
                      :if (and which (in which (.lower (. (read-lesson path) title))))
                      name))
  (raise (RequestError
    (cond
      (.isdecimal which) f"there is no lesson {(cut which 20)}: they are 1 to {(len paths)}"
      titled             f"there is no lesson {which}: did you mean {(.join " or " titled)}?"
      True               f"there is no lesson {(cut which 40)}: {(nearest which names)}"))))


;;; Reading one

(defn read-lesson [path]
  "path -> Lesson."
  (setv lines (.splitlines (.read-text path :encoding "utf-8"))
        title (re.fullmatch r"# Lesson \d+: (.+)" (get lines 0))
        intro []
        parts intro
        sections {})
  (for [part (read-parts (cut lines 1 None))]
    (if (isinstance part str)                      ; a heading
      (setv parts []  (get sections part) parts)
      (.append parts part)))
  (Lesson (int (cut path.stem 1 3)) (lesson-name path) (get title 1) path intro sections))

(defn read-parts [lines]
  "lines -> parts; headings are strings."
  (setv lines (list lines)
        parts [])
  (while lines
    (setv line (.pop lines 0))
    (cond
      (.startswith line "## ")      (.append parts (cut line 3 None))
      (.startswith line "```")      (.append parts (fenced line (until lines "```")))
      (.startswith line "<details><summary>Answer")
        (.append parts (question (question-text parts) (until lines "</details>")))
      (or (not (.strip line)) (is-markup line))  None
      True                          (.append parts (Text (paragraph line lines)))))
  parts)

(defn is-markup [line]
  "Whether a line is HTML, which only a browser shows; an address, <https://…>, is text."
  (and (.startswith line "<") (not (.startswith line "<http"))))

(defn until [lines end]
  "Take LINES away up to the line END; -> those before it."
  (setv taken [])
  (while (and lines (!= (get lines 0) end))
    (.append taken (.pop lines 0)))
  (.pop lines 0)
  taken)

(defn paragraph [line lines]
  "Take the lines of a paragraph away; -> its text."
  (setv taken [line])
  (while (and lines (.strip (get lines 0))
              (not (.startswith (get lines 0) #("```" "#")))
              (not (is-markup (get lines 0))))
    (.append taken (.pop lines 0)))
  (.join "\n" taken))

(defn fenced [line body]
  "What a block of code is, by the words behind its three backquotes."
  (setv words (.split (cut line 3 None))
        text (.join "\n" body))
  (cond
    (= words ["hy"])                   (Code text)
    (= words ["sh"])                   (Command text)
    (= words ["hy" "solution"])        (Solution text)
    (= (cut words 2) ["hy" "exercise"])  (Exercise (get words 2) text)
    True                               (Text (.join "\n" (gfor  line body  (+ "    " line))))))

(defn question-text [parts]
  "Take the last question's paragraphs away from PARTS; -> their text."
  (setv taken [])
  (while True
    (.insert taken 0 (. (.pop parts) text))
    (when (.startswith (get taken 0) "**Question.**")
      (return (.join "\n\n" taken)))))

(defn question [text answer]
  "-> Question: the text with its choices, and the lines of its answer."
  (setv [asked #* listed] (re.split r"\n(?=- [a-z]\) )" (.removeprefix text "**Question.**"))
        choices (dfor  line listed
                       :setv [letter words] (.groups (re.match r"- ([a-z])\) (.*)" line re.DOTALL))
                       letter (.strip (re.sub r"\s*\n\s*" " " words)))
        answer (.strip (.join "\n" answer))
        check (re.search r"<!-- (.*?) -->" answer re.DOTALL)
        answer (.strip (re.sub r"<!-- .*? -->" "" answer :flags re.DOTALL))
        [right within reason] (.groups (re.fullmatch
          r"\*\*([^*]+?)\.?\*\*(?: \(within ([\d.]+)\)\.)?\s+(.*)" answer re.DOTALL)))
  (Question (.strip asked) choices right (float (or within 0)) reason
            (if check (get check 1) "")))


;;; Judging an answer

(defn as-number [text]
  "What somebody typed, 0.25, 0,25, 25%, 1,000, ln 3, log(3), (log 3), 10.6 million, about 8 tokens
  (of which the words are left out) -> float, or None.
  ; (as-number \"1/4\") => 0.25"
  (when (> (len text) LONGEST)
    (return None))
  (setv text (re.sub WORDS "" (.rstrip (.replace (.strip text) " " "") ".")))
  (when (re.fullmatch r"-?[1-9]\d{0,2}(,\d{3})+" text)
    (setv text (.replace text "," "")))
  (setv logarithm (re.fullmatch r"(-?)\(?(?:ln|log)(.+)" text))
  (when logarithm
    (setv number (as-number (.strip (get logarithm 2) "()")))
    (return (when (and number (> number 0))
              (* (if (get logarithm 1) -1 1) (log number)))))
  (when (re.search r"[eE][+-]?[\d_]{4}" text)           ; Fraction would work all of it out
    (return None))
  (setv percent (.endswith text "%")
        text (.replace (.removesuffix text "%") "," "."))
  (try
    (setv number (float (Fraction text)))
    (except [#(ValueError ZeroDivisionError OverflowError)]
      (return None)))
  (if percent (/ number 100) number))

(defn understood [question typed]
  "What was typed, as an answer to QUESTION may be; None if it is none."
  (setv typed (.lower (.strip typed)))
  (if question.choices
    (do (setv letter (.strip typed "(.)"))
        (when (in letter question.choices) letter))
    (in-its-unit question (as-number typed))))

(defn in-its-unit [question number]
  "NUMBER; in millions, where QUESTION asks for millions and somebody wrote it out."
  (if (and number (in "in millions" question.text) (>= number 100,000))
    (/ number 1,000,000)
    number))

(defn is-right [question answer]
  "Whether an understood ANSWER is the right one."
  (if question.choices
    (= answer question.answer)
    (<= (abs (- answer (as-number question.answer))) (+ question.within 1e-9))))
