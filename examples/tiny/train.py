# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Trains the tiny story model that lies beside this file.

The text is made here by a seeded grammar of small stories, so the whole model
follows from this file and a seed, and no text of anyone else's is involved.

  python train.py --out DIR     trains and writes the model files (CPU, minutes)
  python train.py --show 3      prints three stories of the training text
"""

import argparse
import json
import math
import os
import random
import time

END = "<|endoftext|>"  # both BOS and EOS: it stands between stories
VOCAB = 1024

# --- The grammar of stories -------------------------------------------------

GIRLS = "Mia Lily Anna Rosa Nora Ella Zoe Ivy Clara Maya Lucy Tess".split()
BOYS = "Ben Tom Max Leo Sam Finn Jack Noah Owen Tim Hugo Eli".split()
ANIMALS = {
    "rabbit": "Clover Thumper Pip", "fox": "Rusty Fern Ember",
    "bear": "Bruno Honey Moss", "mouse": "Nib Dot Crumb",
    "duck": "Waddle Daisy Puddle", "frog": "Lily Hop Marsh",
    "squirrel": "Hazel Acorn Nutty", "hedgehog": "Spike Thistle Bramble",
    "owl": "Luna Hoot Willow", "cat": "Whiskers Smoky Ginger",
    "dog": "Biscuit Patch Rex", "pony": "Star Copper Misty",
}
SMALL = ["little", "small", "young", "tiny"]
NATURE = ["kind", "brave", "curious", "shy", "cheerful", "clever", "gentle",
          "quiet", "funny", "careful"]
OUTDOORS = ["in the garden", "in the park", "by the river", "in the forest",
            "on the hill", "in the meadow", "near the old mill", "by the lake",
            "at the farm", "on the beach"]
HOMES = {"child": ["in a small house by the sea", "in a red house on a hill",
                   "in a little town", "on a quiet street", "on a farm",
                   "in a house with a blue door"],
         "animal": ["in a green forest", "under an old oak tree",
                    "near a quiet pond", "in a cozy hole in the ground",
                    "at the edge of the woods", "behind a big red barn"]}
COLORS = ["red", "blue", "green", "yellow", "white", "purple", "orange"]
TOYS = ["ball", "kite", "boat", "drum", "scarf", "hat", "bell", "wagon",
        "lantern", "blanket", "whistle", "basket"]
FOODS = ["cake", "pie", "apple", "sandwich", "cookie", "pear", "pancake"]
WEATHER = {
    "sunny": ["The sun was bright and the sky was blue.",
              "It was a warm and sunny day.",
              "The birds sang in the warm sun."],
    "windy": ["The wind blew hard through the trees.",
              "It was a windy day and the leaves flew in the air."],
    "snowy": ["The snow was soft and white.",
              "It was a cold day and snow lay on the ground."],
    "cloudy": ["The sky was gray and full of clouds.",
               "It was a cool and cloudy morning."],
}
HIDES = ["under the bed", "behind the door", "under a big leaf",
         "behind a rock", "in the tall grass", "under a bush",
         "next to the fence", "in a pile of leaves", "behind the barn",
         "under the bench"]
GLAD = ["happy", "glad", "very happy", "proud", "full of joy"]
SAD = ["sad", "very sad", "upset", "worried"]
LESSONS = {
    "friend": ["A good friend makes every day better.",
               "It is good to have a friend.",
               "Friends help each other."],
    "share": ["Things are more fun when you share them.",
              "Sharing made them both happy."],
    "brave": ["Being brave does not mean you are never afraid.",
              "It is all right to be afraid sometimes."],
    "try": ["If you keep trying, you can learn anything.",
            "It is good to try again."],
    "truth": ["It is always better to tell the truth.",
              "Telling the truth is hard, but it feels good."],
    "wait": ["Good things take time.", "It pays to wait."],
}


class Who:
    """A character: its name, its kind and its pronouns.

    `who` names it at its first mention: "Tim", but "Luna the owl".
    """

    def __init__(self, name, kind, female, animal):
        self.name, self.kind, self.animal = name, kind, animal
        self.he, self.him, self.his = (("she", "her", "her") if female else
                                       ("he", "him", "his"))
        self.He, self.His = self.he.capitalize(), self.his.capitalize()
        self.who = f"{name} the {kind}" if animal else name


def a(noun):
    return ("an " if noun[0] in "aeiou" else "a ") + noun


class Story:
    def __init__(self, rng):
        self.rng = rng
        self.hero = self.someone()
        self.friend = self.someone()
        while self.friend.name == self.hero.name:
            self.friend = self.someone()
        parent = self.pick("mother", "father", "grandmother", "grandfather")
        self.elder = Who(parent, parent, parent.endswith("mother"),
                         self.hero.animal)
        self.place = self.pick(*OUTDOORS)
        self.thing = self.pick(*COLORS) + " " + self.pick(*TOYS)
        self.later = self.met = False

    def pick(self, *options):
        return self.rng.choice(options)

    def maybe(self, text, chance=0.5):
        return text if self.rng.random() < chance else ""

    def someone(self):
        female = self.rng.random() < 0.5
        if self.rng.random() < 0.55:
            names = GIRLS if female else BOYS
            return Who(self.pick(*names), "girl" if female else "boy", female,
                       False)
        kind = self.pick(*ANIMALS)
        return Who(self.pick(*ANIMALS[kind].split()), kind, female, True)

    def opening(self):
        h = self.hero
        home = self.pick(*HOMES["animal" if h.animal else "child"])
        small, nature = self.pick(*SMALL), self.pick(*NATURE)
        first = self.pick(
            f"Once upon a time, there was a {small} {h.kind} named {h.name}. "
            f"{h.He} lived {home}.",
            f"Once upon a time, {a(nature)} {h.kind} named {h.name} lived "
            f"{home}.",
            f"There once was a {small} {h.kind} named {h.name} who lived "
            f"{home}.",
            f"{h.name} was {a(nature)} {h.kind}. {h.He} lived {home} with "
            f"{h.his} {self.elder.name}.")
        likes = self.pick(
            "to play outside", "to sing", "to look at the stars", "to run",
            "to draw pictures", "to listen to stories", "to climb trees",
            "to jump in puddles", "to pick flowers", "to help others")
        return first + self.maybe(
            self.pick(f" {h.name} loved {likes}.",
                      f" {h.He} liked {likes} every day."), 0.6)

    def one_day(self):
        if self.later:
            return self.pick("The next day,", "A few days later,",
                             "The next morning,")
        return self.pick("One day,", "One morning,", "One afternoon,",
                         "One sunny day,", "One cold day,")

    def says(self, who, line, tag=None):
        """Dialogue; the closing mark of the line decides the tag's comma."""
        tag = tag or (self.pick("asked") if line[-1] == "?" else
                      self.pick("said", "said", "cried", "shouted")
                      if line[-1] == "!" else "said")
        subject = who.name if who is not self.elder else \
            f"{self.hero.his} {who.name}"
        body = line[:-1] + "," if line[-1] == "." else line
        if self.rng.random() < 0.3:
            return f'{subject[0].upper()}{subject[1:]} {tag}, "{line}"'
        return f'"{body}" {subject} {tag}.'

    def feels(self, who, words):
        return self.pick(f"{who.name} was {self.pick(*words)}.",
                         f"{who.name} felt {self.pick(*words)}.",
                         f"This made {who.name} {words[0]}.")

    def meet(self):
        f, h = self.friend, self.hero
        if self.met:
            return self.pick(f"Just then, {f.name} came by.",
                             f"{h.He} saw {f.name}.")
        self.met = True
        return self.pick(
            f"{h.He} met {a(f.kind)} named {f.name}.",
            f"{h.He} saw {h.his} friend {f.who}.",
            f"Then {a(f.kind)} named {f.name} came by.",
            f"Just then, {f.who} walked up to {h.him}.")

    def ending(self, lesson):
        h, f = self.hero, self.friend
        words = self.pick(*LESSONS[lesson])
        options = [words, f"{h.name} smiled and went home.",
                   f"That night, {h.name} slept well and had sweet dreams.",
                   f"{h.name} learned something new that day. {words}",
                   f"{h.name} never forgot that day."]
        if self.met:  # no farewell to a friend who was not in the story
            options.append(f"From that day on, {h.name} and {f.name} were "
                           "best friends.")
        return self.pick(*options)

    # Each arc gives the paragraphs after the opening.

    def lost(self):
        h, f, t = self.hero, self.friend, self.thing
        where, empty = self.rng.sample(HIDES, 2)
        toy = t.split()[1]
        middle = (f"{self.one_day()} {h.name} could not find {h.his} {t}. "
                  f"{h.He} looked {empty}, but it was not there. "
                  + self.feels(h, SAD))
        helper = self.pick(f, self.elder)
        if helper is f:
            middle += " " + self.meet()
        middle += " " + self.says(helper, self.pick(
            "What is wrong?", "Why are you sad?", "Can I help you?"))
        middle += " " + self.says(h, self.pick(
            f"I lost my {t}.", f"I can not find my {toy}."))
        last = self.pick("They looked and looked.", "They looked everywhere.",
                         "So they went to look for it together.")
        last += (f" At last, they found the {toy} {where}. "
                 + self.says(h, self.pick("Thank you!", "There it is!",
                                          f"My {toy}!"))
                 + f" {h.name} was {self.pick(*GLAD)} and gave {helper.him} "
                 "a big hug." if helper is f else
                 f" At last, {h.his} {helper.name} saw the {toy} {where}. "
                 + self.says(h, "Thank you!") + " " + self.feels(h, GLAD))
        return [middle, last + " " + self.ending("friend")]

    def new_friend(self):
        h, f = self.hero, self.friend
        self.met = True
        middle = (f"{self.one_day()} {h.name} went for a walk {self.place}. "
                  + self.maybe(self.pick(*WEATHER["sunny"]) + " ")
                  + f"{h.He} saw {a(f.kind)} sitting "
                  + self.pick("all alone", "on a stone", "under a tree")
                  + f". The {f.kind} looked {self.pick('sad', 'shy')}.")
        middle += " " + self.says(h, f"Hello! I am {h.name}. What is your "
                                     "name?")
        middle += " " + self.says(f, self.pick(
            f"My name is {f.name}. I have no one to play with.",
            f"I am {f.name}. I am new here."))
        last = (self.says(h, self.pick("You can play with me!",
                                       "Let us be friends!",
                                       "Do you want to play with me?"))
                + f" {f.name} smiled. They "
                + self.pick("played hide and seek", "ran up the hill",
                            "threw stones into the water",
                            f"played with the {self.thing}",
                            "picked flowers and sang songs")
                + self.pick(" until the sun went down. ", " all day long. "))
        return [middle, last + self.ending("friend")]

    def rain(self):
        h, f, e = self.hero, self.friend, self.elder
        friend, self.met = (f.name if self.met else f.who), True
        plan = self.pick("fly a kite", "have a picnic", "play ball",
                         "swim in the lake", "climb a tree")
        middle = (f"{self.one_day()} {h.name} wanted to {plan} with "
                  f"{friend}. But dark clouds came and it began "
                  f"to rain. " + self.feels(h, SAD) + " "
                  + self.says(h, self.pick("Now we can not go outside.",
                                           "I do not like the rain.",
                                           f"I wanted to {plan}.")))
        inside = self.pick("build a tent with a blanket", "bake some cookies",
                           "draw a big picture", "tell stories by the fire",
                           "make paper boats")
        middle += " " + self.says(e, f"I have an idea. You can {inside}.")
        done = {"build": "built", "bake": "baked", "draw": "drew",
                "tell": "told", "make": "made"}
        verb, rest = inside.split(" ", 1)
        last = (f"So {h.name} and {f.name} {done[verb]} {rest}. It was a lot "
                "of fun. " + self.pick(
                    "Soon the rain stopped and they saw a rainbow in the sky. ",
                    "When the sun came out, they jumped in the puddles. ",
                    "They did not hear the rain at all. "))
        return [middle, last + self.ending("friend")]

    def share(self):
        h, f = self.hero, self.friend
        food = self.pick(*FOODS)
        middle = (f"{self.one_day()} {h.name} had a big {food}. "
                  + self.meet() + f" {f.name} was {self.pick('very ', '')}"
                  "hungry. " + self.says(f, self.pick(
                      f"May I have some of your {food}?",
                      f"That {food} looks so good. Can I try it?")))
        if self.rng.random() < 0.5:
            middle += " " + self.says(h, f"No! It is my {food}.") + (
                f" {f.name} was sad and walked away. Then {h.name} felt bad "
                f"and ran after {f.him}. ") + self.says(
                    h, "I am sorry. We can share it.")
        else:
            middle += f" {h.name} thought about it. " + self.says(
                h, self.pick("Yes, we can share it.", "Of course!",
                             "Here, take half."))
        last = (f"They cut the {food} in two and ate it together "
                f"{self.place}. " + self.says(f, self.pick(
                    "Thank you! You are a good friend.", "It is so good!"))
                + " " + self.feels(h, GLAD) + " ")
        return [middle, last + self.ending("share")]

    def fear(self):
        h, e = self.hero, self.elder
        fear, why = self.pick(
            ("the dark", "there is nothing in the dark that is not there in "
             "the day"),
            ("the thunder", "the thunder is only a big noise in the sky"),
            ("the deep water", "the water will hold you if you are calm"),
            ("the wind", "the wind is only singing to the trees"),
            ("the shadows", "a shadow is only a place where the light can "
             "not go"))
        middle = (f"{h.name} was afraid of {fear}. "
                  + self.pick("One night,", "One evening,")
                  + f" {h.name} could not sleep. {h.He} "
                  + self.pick(f"hid under {h.his} blanket.",
                              f"called for {h.his} {e.name}.",
                              "sat up in bed and cried.") + " "
                  + self.says(h, f"I am afraid of {fear}.") + " "
                  + self.says(e, f"Do not be afraid. You see, {why}."))
        last = (f"{h.His} {e.name} "
                + self.pick(f"held {h.his} hand", "sang a soft song",
                            "lit a small lamp", f"sat next to {h.him}")
                + f". {h.name} took a deep breath. "
                + self.pick(f"Soon {h.he} was not afraid anymore. ",
                            f"After a while, {h.he} felt safe and warm. ")
                + self.says(h, self.pick("I am brave now!",
                                         "I feel better now.")) + " ")
        return [middle, last + self.ending("brave")]

    def build(self):
        h, f = self.hero, self.friend
        what, of, fall = self.pick(
            ("tower", "stones", "fell down"), ("boat", "wood", "broke"),
            ("house", "sticks", "fell down"), ("castle", "sand", "fell apart"),
            ("bridge", "wood", "broke"), ("snowman", "snow", "fell over"))
        weather = "snowy" if of == "snow" else self.pick("sunny", "cloudy")
        middle = (f"{self.one_day() if of != 'snow' else 'One winter day,'} "
                  f"{h.name} wanted to build a {what} out of {of}. "
                  + self.maybe(self.pick(*WEATHER[weather]) + " ")
                  + f"{h.He} worked all morning, but the {what} {fall}. "
                  + self.says(h, self.pick("Oh no!", "I can not do it.",
                                           f"My {what} {fall}!"))
                  + " " + self.meet() + " " + self.says(f, self.pick(
                      "Let us try again together.", "Do not give up!",
                      "I can help you.")))
        last = (f"{h.name} and {f.name} tried again. They worked slowly and "
                f"were very careful. This time, the {what} "
                + self.pick("was strong.", "was just right.", "was the best "
                            "of all.")
                + " " + self.says(h, self.pick("We did it!", "Look at our "
                                               f"{what}!")) + " ")
        return [middle, last + self.ending("try")]

    def rescue(self):
        h, e = self.hero, self.elder
        kind, stuck, out = self.pick(
            ("bird", "had fallen from its nest", "put it back in the nest"),
            ("kitten", "was stuck in a tall tree", "brought it down"),
            ("puppy", "was stuck in a hole", "pulled it out"),
            ("butterfly", "was stuck in a web", "set it free"),
            ("turtle", "was lying on its back", "turned it over"),
            ("lamb", "was stuck in the mud", "pulled it out"))
        middle = (f"{self.one_day()} {h.name} was playing {self.place} when "
                  f"{h.he} heard a small sound. {h.He} looked around and saw "
                  f"a little {kind}. The {kind} {stuck}. "
                  + self.says(h, self.pick("Do not worry, I will help you.",
                                           f"Poor little {kind}!")))
        alone = self.rng.random() < 0.5
        last = (f"{h.name} was careful and {out}. " if alone else
                f"{h.name} ran home to get {h.his} {e.name}. They came back "
                f"together and {out}. ")
        last += self.pick(f"The {kind} was safe. ",
                          f"The {kind} looked at {h.name} and was not afraid. ")
        last += (self.feels(h, GLAD) if alone else
                 self.says(e, self.pick("You did a good thing.",
                                        "I am proud of you."))) + " "
        return [middle, last + self.pick(
            f"After that, the {kind} came to visit {h.name} every day.",
            f"{h.name} waved and went home with a smile.",
            f"Helping others made {h.name} feel warm inside.")]

    def surprise(self):
        h, f, e = self.hero, self.friend, self.elder
        friend, self.met = (f.name if self.met else f.who), True
        what, how = self.pick(
            ("a cake", "They mixed eggs, milk and flour in a big bowl"),
            ("a card", "They drew flowers and hearts on the paper"),
            ("a necklace", "They put shells on a long string"),
            ("a crown of flowers", "They picked the best flowers they could "
             "find"))
        middle = (f"It was the birthday of {h.name}'s {e.name}. {h.name} "
                  f"wanted to make {what} for {e.him}. {h.He} asked {friend} "
                  f"to help. {how}. " + self.maybe(
                      self.says(f, self.pick("This is fun!",
                                             f"{e.He} will love it!"))))
        last = (f"In the evening, {h.name} gave {what} to {h.his} {e.name}. "
                + self.says(h, "Happy birthday!") + " "
                + self.says(e, self.pick("It is beautiful!",
                                         "What a lovely surprise!",
                                         "Thank you, my dear."))
                + f" {e.He} gave {h.him} a kiss. ")
        return [middle.replace("  ", " ").strip(), last + self.ending("share")]

    def broken(self):
        h, e = self.hero, self.elder
        what = self.pick("cup", "plate", "vase", "window", "lamp", "chair")
        middle = (f"{self.one_day()} {h.name} was "
                  + self.pick("running", "jumping", "playing with a ball")
                  + f" in the house. Crash! The {self.pick('old ', '')}{what} "
                  f"was broken. {h.name} was scared. "
                  + self.pick(f"{h.He} wanted to hide. ",
                              f"{h.He} did not know what to do. ")
                  + f"{h.His} {e.name} came in. "
                  + self.says(e, "What happened?"))
        last = (f"{h.name} looked at the floor. "
                + self.says(h, f"I broke the {what}. I am sorry.") + " "
                + f"{h.His} {e.name} was not angry. " + self.says(e, self.pick(
                    "Thank you for telling me the truth.",
                    "I am glad that you are not hurt."))
                + " They cleaned up together"
                + self.pick(f" and fixed the {what}. ", ". "))
        return [middle, last + self.ending("truth")]

    def seed(self):
        h, e = self.hero, self.elder
        plant, result = self.pick(
            ("sunflower", "a tall yellow flower"), ("rose", "a red flower"),
            ("pumpkin", "a big orange pumpkin"),
            ("apple tree", "a little tree with green leaves"))
        middle = (f"{self.one_day()} {h.name} found a small seed "
                  f"{self.place}. " + self.says(h, "What is this?") + " "
                  + self.says(e, f"It is a seed. If you plant it, "
                              f"{a(plant)} will grow.")
                  + f" {h.name} put the seed in the ground and gave it water "
                  "every day. But nothing happened. "
                  + self.says(h, self.pick("Why does it not grow?",
                                           "When will it grow?"))
                  + " " + self.says(e, self.pick("You must wait.",
                                                 "Give it time.")))
        last = (f"So {h.name} waited and waited. "
                + self.pick("The rain came and the sun came. ",
                            "Days and weeks went by. ")
                + f"Then one morning, {h.he} saw {result}. "
                + self.says(h, self.pick("It is so beautiful!", "Look at it!"))
                + " " + self.feels(h, GLAD) + " ")
        return [middle, last + self.ending("wait")]

    def learn(self):
        h, f = self.hero, self.friend
        skill, fail = self.pick(
            ("swim", "water got in {his} nose"),
            ("ride a bike", "{he} fell on the grass"),
            ("skate", "{he} slipped on the ice"),
            ("whistle", "only air came out"),
            ("dance", "{he} tripped over {his} feet"),
            ("jump over the stream", "{he} fell in the water"))
        fail = fail.format(he=h.he, his=h.his)
        middle = (f"{h.name} wanted to learn to {skill}. {self.one_day()} "
                  f"{h.he} tried, but {fail}. {h.He} tried again, but it was "
                  "too hard. " + self.feels(h, SAD) + " " + self.meet() + " "
                  + self.says(f, self.pick(
                      f"I could not {skill} at first, too.",
                      f"I will show you how to {skill}.",
                      "You just need to try again.")))
        last = (f"{f.name} {self.pick('helped', 'watched')} and {h.name} "
                "tried again and again. "
                + self.pick("Every day it was a little easier. ",
                            "It took a long time. ")
                + f"Then, at last, {h.he} could {skill}! "
                + self.says(h, self.pick("Look at me!", "I can do it!"))
                + " " + self.says(f, self.pick("I knew you could do it!",
                                               "Well done!")) + " ")
        return [middle, last + self.ending("try")]

    def wind(self):
        h, f, t = self.hero, self.friend, self.thing
        item = self.pick("hat", "scarf", "kite", "balloon", "letter")
        color = t.split()[0]
        middle = (f"{self.one_day()} {h.name} went out with {h.his} {color} "
                  f"{item}. {self.pick(*WEATHER['windy'])} Suddenly, the wind "
                  f"took the {item} and it flew "
                  + self.pick("over the trees", "across the river",
                              "up into the sky", "over the hill") + ". "
                  + self.says(h, "Come back!")
                  + f" {h.name} ran after it as fast as {h.he} could, but the "
                  "wind was faster.")
        last = (self.meet() + f" {f.name} was holding the {item}. "
                + self.says(f, f"Is this your {item}?") + " "
                + self.says(h, self.pick("Yes! Thank you so much.",
                                         "Yes, it is mine!"))
                + f" {h.name} was so {self.pick('happy', 'glad')} that "
                f"{h.he} asked {f.name} to come and "
                + self.pick("play", "eat some pie", "have some tea") + ". ")
        return [middle, last + self.ending("friend")]

    def race(self):
        h, f = self.hero, self.friend
        goal = self.pick("to the big tree", "to the river", "around the pond",
                         "to the top of the hill")
        middle = (self.one_day() + f" {h.name} was playing {self.place}. "
                  + self.meet() + " "
                  + self.says(f, f"Let us race {goal}!") + " "
                  + self.says(h, self.pick("I will win!", "Yes, let us go!"))
                  + f" They ran as fast as they could. {f.name} was ahead, "
                  f"but then {f.he} fell and hurt {f.his} "
                  + self.pick("foot", "knee", "leg") + ".")
        last = (f"{h.name} stopped running. {h.He} went back to help {f.him}. "
                + self.says(h, "Are you all right?") + " "
                + self.says(f, self.pick(
                    "Thank you for coming back.",
                    "You could have won, but you helped me."))
                + f" They walked {goal} side by side. ")
        return [middle, last + self.ending("friend")]

    def astray(self):
        h, e = self.hero, self.elder
        lure, guide = self.pick(
            ("a pretty butterfly", "the light of the moon"),
            ("a little white bird", "the sound of the river"),
            ("the sweet smell of flowers", "the smell of warm bread"),
            ("a hopping grasshopper", "a small light far away"))
        middle = (f"{self.one_day()} {h.name} followed {lure} into the "
                  f"woods. {h.He} walked and walked. When {h.he} looked "
                  f"back, {h.he} could not see the path. "
                  + self.pick("The woods were dark and cold. ",
                              "The trees were very tall. ")
                  + self.feels(h, ["scared", "lost", "afraid"]) + " "
                  + self.says(h, self.pick("Where am I?", "I am lost!",
                                           "I want to go home.")))
        last = (f"But {h.name} did not cry. {h.He} stood still and looked "
                f"and listened. Then {h.he} followed {guide}. It led {h.him} "
                f"out of the woods. {h.His} {e.name} was waiting for {h.him}. "
                + self.says(e, self.pick("I was so worried about you!",
                                         "There you are!"))
                + f" {h.He} gave {h.his} {e.name} a big hug. ")
        return [middle, last + self.ending("brave")]

    def market(self):
        h, e = self.hero, self.elder
        want = self.thing
        food = self.pick("apples", "eggs", "berries", "carrots", "nuts")
        middle = (f"{self.one_day()} {h.name} went to the market with "
                  f"{h.his} {e.name}. {h.He} saw a {want} and wanted it very "
                  "much. " + self.says(h, self.pick("Can I have it?",
                                                    "Look at that!"))
                  + " " + self.says(e, "We do not have enough money.")
                  + " " + self.feels(h, SAD) + f" Then {h.he} had an idea.")
        last = (f"Every day, {h.name} picked {food} and sold them. After "
                + self.pick("a week", "a month", "many days")
                + f", {h.he} had enough money. {h.He} bought the {want}. "
                + self.says(e, self.pick("You worked hard for it.",
                                         "I am proud of you.")) + " "
                + self.feels(h, GLAD) + " ")
        return [middle, last + self.ending("wait")]

    ARCS = [lost, new_friend, rain, share, fear, build, rescue, surprise,
            broken, seed, learn, wind, race, astray, market]

    def tell(self):
        arcs = self.rng.sample(Story.ARCS, 2 if self.rng.random() < 0.35 else 1)
        parts = [self.opening()] + arcs[0](self)
        if len(arcs) > 1:
            if arcs[1] is Story.new_friend:  # a second stranger needs a name
                while self.friend.name in "\n".join(parts):
                    self.friend = self.someone()
            self.later = True
            self.place = self.pick(*OUTDOORS)
            self.thing = self.pick(*COLORS) + " " + self.pick(*TOYS)
            parts += arcs[1](self)
        return "\n".join(parts) + self.maybe(
            self.pick(" The end.", " And they all lived happily ever after."))


def stories(seed, count):
    rng = random.Random(seed)
    return [Story(rng).tell() for _ in range(count)]


# --- Tokenizer and training -------------------------------------------------


def train_tokenizer(texts):
    from tokenizers import (Tokenizer, decoders, models, pre_tokenizers,
                            trainers)
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCAB, special_tokens=[END], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    return tok


CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": VOCAB,
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
    "initializer_range": 0.02,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "use_cache": True,
    "torch_dtype": "bfloat16",
}


def write_json(folder, name, value):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


def encode(tok, texts):
    """The texts as one stream of ids, with END before each, and the starts."""
    stream, starts = [], []
    for item in tok.encode_batch(texts):
        starts.append(len(stream))
        stream += [0] + item.ids
    return stream, starts


def train(args):
    import torch
    from safetensors.torch import save_file
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(args.seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    os.makedirs(args.out, exist_ok=True)

    texts = stories(args.seed, args.stories)
    tok = train_tokenizer(texts)
    assert tok.token_to_id(END) == 0 and tok.get_vocab_size() == VOCAB
    stream, starts = encode(tok, texts)
    held, _ = encode(tok, stories(args.seed + 1, 300))
    data = torch.tensor(stream)
    held = torch.tensor(held[:len(held) // 256 * 256]).view(-1, 256)
    print(f"{len(texts)} stories, {len(data)} tokens")

    # float32 weights while training; rounded to bfloat16 once, at the end.
    config = LlamaConfig(**{**CONFIG, "torch_dtype": "float32"})
    model = LlamaForCausalLM(config)
    print(f"{sum(p.numel() for p in model.parameters())} parameters")
    decay = [p for p in model.parameters() if p.dim() > 1]
    other = [p for p in model.parameters() if p.dim() == 1]
    opt = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1},
                             {"params": other, "weight_decay": 0.0}],
                            lr=args.lr, betas=(0.9, 0.95))

    def rate(step):  # linear warm-up, then a cosine down to a twentieth
        if step < args.warmup:
            return (step + 1) / args.warmup
        done = (step - args.warmup) / max(1, args.steps - args.warmup)
        return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done))

    schedule = torch.optim.lr_scheduler.LambdaLR(opt, rate)
    rng = random.Random(args.seed + 2)

    def batch(count, length):
        """Windows of the stream; half of them begin at a story's END."""
        rows = []
        for _ in range(count):
            at = (rng.choice(starts) if rng.random() < 0.5 else
                  rng.randrange(len(data)))
            at = min(at, len(data) - length)
            rows.append(data[at:at + length])
        return torch.stack(rows)

    def held_out():
        model.eval()
        with torch.no_grad():
            losses = [model(input_ids=rows, labels=rows, use_cache=False).loss
                      for rows in held.split(32)]
        model.train()
        return float(torch.stack(losses).mean())

    begun = time.time()
    model.train()
    for step in range(args.steps):
        # The last tenth sees whole contexts, so that all positions are learnt.
        long = step >= args.steps * 0.9
        rows = batch(4, 512) if long else batch(16, 128)
        loss = model(input_ids=rows, labels=rows, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        schedule.step()
        opt.zero_grad()
        if step % 100 == 0 or step + 1 == args.steps:
            print(f"step {step} loss {loss.item():.4f} "
                  f"{time.time() - begun:.0f} s", flush=True)
    model.to(torch.bfloat16).float()
    print(f"held-out loss after rounding to bfloat16: {held_out():.4f}")

    # Tied: lm_head.weight is model.embed_tokens.weight and is not stored.
    tensors = {name: value.to(torch.bfloat16).contiguous()
               for name, value in model.state_dict().items()
               if name != "lm_head.weight"}
    save_file(tensors, os.path.join(args.out, "model.safetensors"),
              metadata={"format": "pt"})
    write_json(args.out, "config.json", CONFIG)
    write_json(args.out, "generation_config.json", {
        "bos_token_id": 0, "eos_token_id": 0, "do_sample": True,
        "temperature": 0.8})
    write_json(args.out, "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": END,
        "eos_token": END, "add_bos_token": False, "model_max_length": 512,
        "clean_up_tokenization_spaces": False})
    tok.save(os.path.join(args.out, "tokenizer.json"))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", help="folder to write the model to")
    parser.add_argument("--show", type=int, metavar="N",
                        help="print N stories of the training text and stop")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--stories", type=int, default=30000)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--warmup", type=int, default=100)
    parser.add_argument("--lr", type=float, default=3e-3)
    args = parser.parse_args()
    if args.show:
        print("\n\n".join(stories(args.seed, args.show)))
    elif args.out:
        train(args)
    else:
        parser.error("give --out DIR, or --show N")


if __name__ == "__main__":
    main()
